"""Runs at paper scale by JAX alone: images in the device's memory, an epoch one compiled loop."""
