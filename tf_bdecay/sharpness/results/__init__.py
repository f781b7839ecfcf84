"""What a measurement gives back, as values to keep and as pictures."""
