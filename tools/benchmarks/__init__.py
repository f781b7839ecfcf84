"""One module a benchmark; each has `run(options) -> list of Row`."""
