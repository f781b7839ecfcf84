"""The epochs of a run: its loop, its checkpoints, and callbacks that go with every run."""
