"""What survives a kill: atomic files, checkpoints, tables, event files; also users' paths."""
