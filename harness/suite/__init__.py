"""Running the suite from inside: coverage, drafts of deviations, explanations, recordings."""
