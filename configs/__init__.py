"""One file an experiment; `common` holds the paper's constants once."""
