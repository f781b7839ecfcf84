"""What lies below: where Keras and TensorFlow err or hide, and what is not installed."""
