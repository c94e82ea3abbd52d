"""pytest glue, thin: options, marks, fixtures, the pool of real LANs, captures, verdict words."""
