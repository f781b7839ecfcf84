"""The results of a measurement, as values to keep and as pictures."""
