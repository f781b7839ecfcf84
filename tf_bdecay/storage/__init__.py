"""What survives a kill: atomic files, checkpoints, tables, event files."""
