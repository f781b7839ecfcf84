"""A run on disk: its folder, its starts, its pictures and its weights. It needs no TensorFlow."""
