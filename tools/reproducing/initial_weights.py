"""The initial weights of the TensorFlow path, under any backend of Keras."""

import contextlib
import math

import keras
import numpy as np

from tf_bdecay.errors import BadInput
from tools.reproducing import philox

_CONSTANT = keras.initializers.Zeros, keras.initializers.Ones
_MAY_BE_DRAWN = "kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"


@contextlib.contextmanager
def of_tensorflow():
    """Models built inside have the weights that Keras would draw under TensorFlow.

    Every backend draws other numbers from a seed; seeds and constants are the same. Only draws of
    `VarianceScaling` are replaced (Keras has no setting for it): see `check`.
    """
    kind = keras.initializers.VarianceScaling
    before = kind.__call__
    kind.__call__ = _drawn
    try:
        yield
    finally:
        kind.__call__ = before


def check(model):
    """Checks that all weights of a model are such that `of_tensorflow` knows them.

    Raises:
        BadInput: a layer with weights that are drawn otherwise.
    """
    for layer in model.layers:
        own = [n for n in _MAY_BE_DRAWN if getattr(layer, n, None) is not None]
        for name in own:
            initializer = getattr(layer, f"{name}_initializer")
            known = isinstance(initializer, (*_CONSTANT, keras.initializers.VarianceScaling))
            _require(known, layer)
        _require(len(own) == len(layer.weights), layer)


def _require(known, layer):
    if not known:
        raise BadInput(
            f"The initial weights of the layer {layer.name!r}, a {type(layer).__name__}, are not "
            "known without TensorFlow: use KERAS_BACKEND=tensorflow."
        )


def _drawn(initializer, shape, dtype=None):
    """`VarianceScaling.__call__`: an untruncated normal of deviation sqrt(scale / fan)."""
    *positions, inputs, outputs = shape
    fans = {"fan_in": inputs, "fan_out": outputs}
    if initializer.distribution != "untruncated_normal" or initializer.mode not in fans:
        raise BadInput(
            "Draws of VarianceScaling are known without TensorFlow where they are untruncated, by "
            f"fan_in or fan_out. Received: {initializer.get_config()}"
        )
    fan = math.prod(positions) * fans[initializer.mode]
    deviation = np.float32(math.sqrt(initializer.scale / fan))
    values = philox.normal((initializer.seed, 0), tuple(shape)) * deviation
    return keras.ops.convert_to_tensor(values, dtype)
