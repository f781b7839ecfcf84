"""Every table and figure of the paper: the runs they need, what was measured, what holds."""
