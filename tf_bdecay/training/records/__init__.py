"""What a run leaves in its folder: tables, report and pictures."""
