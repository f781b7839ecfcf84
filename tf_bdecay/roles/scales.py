"""Finds out what a layer does with its own vectors by evaluating it, not from their names.

Custom normalizations name their scale as they like (`scale`, `weight`, `gain`), and a `scale` may
be a temperature. So a layer that holds one or two vectors with one element per channel is evaluated
on a few random numbers, with other values in place of the vectors'.
"""

import contextlib
import math

import keras
import numpy as np
from keras import ops

from tf_bdecay.frameworks import keras_private

_CLOSE = 0.02  # errors of half precision and of epsilon stay below it, other rules do not
_LARGEST = 2**20  # elements of an input that is worth evaluating
_FACTOR = 4


def roles_by_action(layer):
    """The roles of a layer's own variables, if they are one scale and at most one shift.

    Let y(x; s) be its output and D = (y(x; s + d) - y(x; s)) / d. If D is the same for every d, y
    is linear in s, channel by channel. Then s is

        the scale of a normalization    if D(4x) = D(x), and D depends on x    gamma
        a LayerScale                    if D(x) = x                            gamma
        a shift                         if D is one constant                   beta, beside a gamma

    Args:
        layer: a built layer. It is called a few times, in inference mode and outside any graph;
            its state does not change.

    Returns:
        Dict of a variable's id to "gamma" or "beta"; empty if the layer is not of this kind or
        cannot be evaluated.
    """
    variables = keras_private.own_trainable_variables(layer)
    sizes = {math.prod(v.shape) for v in variables}
    if len(variables) not in (1, 2) or len(sizes) != 1 or not layer.built or _is_nested(layer):
        return {}
    (channels,) = sizes
    if channels == 1 or any(channels not in v.shape for v in variables):
        return {}  # with one channel, a kernel is a scale too
    for shape in _input_shapes(layer, channels):
        try:
            actions = _actions(layer, variables, shape, channels)
        except Exception:  # a custom layer may raise anything, and then this shape says nothing
            continue
        return _roles(variables, actions)
    return {}


def _is_nested(layer):
    return any(
        keras_private.own_trainable_variables(inner)
        for inner in keras_private.layers_of(layer, include_self=False)
    )


def _roles(variables, actions):
    if actions.count("scale") != 1 or None in actions:
        return {}
    names = {"scale": "gamma", "shift": "beta"}
    return {id(v): names[action] for v, action in zip(variables, actions, strict=True)}


def _input_shapes(layer, channels):
    """Shapes to try: the one that the layer was built for, first made small, then unchanged."""
    try:
        built_for = tuple(layer.get_build_config()["input_shape"])
    except Exception:  # built without a shape, or with a custom `get_build_config`
        built_for = (None, None, channels)
    if len(built_for) < 2 or not all(d is None or isinstance(d, int) for d in built_for):
        return []
    axis = _channel_axis(built_for, channels)
    if axis is None:
        return []
    inner = [5 if d is None else d for d in built_for[1:]]
    small = [d if i + 1 == axis else min(d, 5) for i, d in enumerate(inner)]
    shapes = [(3, *small), (3, *inner)]
    return [s for s in dict.fromkeys(shapes) if math.prod(s) <= _LARGEST]


def _channel_axis(shape, channels):
    for axis in (len(shape) - 1, 1):
        if shape[axis] == channels:
            return axis
    return None


def _actions(layer, variables, shape, channels):
    """What the layer does with each variable: "scale", "shift", or None for anything else."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype("float32")
    at = [rng.uniform(0.5, 1.5, size=v.shape) for v in variables]
    axis = _channel_axis(shape, channels)

    def output(x, values):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True):
            return ops.convert_to_numpy(ops.cast(layer(x), "float32"))

    def derivative(scale, n, d):
        moved = [value + d if i == n else value for i, value in enumerate(at)]
        change = output(scale * x, moved) - at_rest[scale]
        return change / _spread(d, axis, len(shape), channels)

    def action(n):
        d, other = (rng.uniform(1.0, 2.0, size=variables[n].shape) for _ in "ab")
        here, again, far = derivative(1, n, d), derivative(1, n, other), derivative(_FACTOR, n, d)
        if here.shape != x.shape or not here.any() or not _close(here, again):
            return None
        if _close(here, far):
            return "shift" if _close(here, np.full_like(here, here.mean())) else "scale"
        return "scale" if _close(here, x) else None

    with _outside_of_graphs():
        at_rest = {scale: output(scale * x, at) for scale in (1, _FACTOR)}
        return [action(n) for n in range(len(variables))]


def _spread(vector, axis, rank, channels):
    """Reshapes a vector so that it lies along the channel axis."""
    shape = [1] * rank
    shape[axis] = channels
    return np.reshape(vector, shape)


def _close(a, b):
    return np.abs(a - b).max() <= _CLOSE * max(np.abs(a).max(), np.abs(b).max())


def _outside_of_graphs():
    """Leaves the graph, as an optimizer may be built while TensorFlow traces a step."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.init_scope()
