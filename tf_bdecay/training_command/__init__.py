"""`tf-bdecay train` and main.py: a run from the command line."""
