"""One file per experiment; `common` holds the paper's constants once."""
