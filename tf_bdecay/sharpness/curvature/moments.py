"""Moments whose second derivatives are right, for curvature through normalization layers."""

import contextlib
import threading

import tensorflow as tf

_lock = threading.Lock()
_open = []  # what tf.nn.moments was, once for every context that is open


def _moments(x, axes, shift=None, keepdims=False, name=None):
    """`tf.nn.moments`, with nothing that stops a gradient."""
    y = tf.cast(x, "float32") if x.dtype == tf.float16 else x
    mean = tf.reduce_mean(y, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(y, mean), axes, keepdims=keepdims)
    mean = mean if keepdims else tf.reshape(mean, tf.shape(variance))
    mean.set_shape(variance.shape)
    return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)


@contextlib.contextmanager
def differentiable_twice():
    """Replaces `tf.nn.moments` while a function is traced.

    TensorFlow's own stops the gradient of the mean inside the variance, which is right for a first
    derivative and wrong for a second; Keras' LayerNormalization, GroupNormalization and
    BatchNormalization take their statistics by it. Replicas are traced by threads that may take
    turns, so the last that leaves puts it back.
    """
    with _lock:
        _open.append(_open[0] if _open else tf.nn.moments)
        tf.nn.moments = _moments
    try:
        yield
    finally:
        with _lock:
            original = _open.pop()
            if not _open:
                tf.nn.moments = original
