"""A batch's way: from examples to one update, whatever a run is."""
