"""The epochs of a run: its loop, its checkpoints, and the callbacks that every run has."""
