"""Groundwork: faults and private names of Keras and TensorFlow, optional packages, lazy imports."""
