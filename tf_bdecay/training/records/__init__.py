"""What a run leaves in its folder: the folder itself, tables, report and pictures."""
