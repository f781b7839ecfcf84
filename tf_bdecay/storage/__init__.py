"""What survives a kill: atomic files, checkpoints, tables, event files; paths as written."""
