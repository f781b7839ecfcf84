"""A run from its config to its report: what `main.py` calls."""
