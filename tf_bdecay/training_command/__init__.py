"""`tf-bdecay train` and main.py: runs an experiment from the command line."""
