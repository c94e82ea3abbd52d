"""Operating system plumbing: sockets, streams, TAPs, namespaces, processes, the fence."""
