"""One module per benchmark; each has `PROBLEMS` and `run(problems, repeats) -> list of Row`."""
