"""A run from its config to its report: what the training command calls."""
