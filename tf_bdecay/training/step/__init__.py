"""One update from one batch of examples, for any run."""
