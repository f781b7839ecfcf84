"""Gradients of functions of arrays, under TensorFlow and under JAX."""

import keras
import numpy as np
from keras import ops


def gradients(function, *arrays):
    """Gradients, as NumPy arrays, of a scalar function of tensors with respect to each of them."""
    return [np.asarray(g) for g in _gradients(function, *map(_tensor, arrays))]


def hessian_vector_products(function, arrays, directions):
    """Reverse over reverse: gradients of `sum_i grad_i . direction_i`."""

    def slope(*tensors):
        pairs = zip(_gradients(function, *tensors), directions, strict=True)
        return sum(ops.sum(g * _tensor(d)) for g, d in pairs)

    return gradients(slope, *arrays)


def _gradients(function, *tensors):
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(function, argnums=tuple(range(len(tensors))))(*tensors)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return tape.gradient(value, tensors, unconnected_gradients="zero")


def _tensor(array):
    return ops.convert_to_tensor(array, array.dtype.name)
