"""What every measure asks of a model and of its arguments, and the sentences that say so."""

import math
import numbers

import keras

from tf_bdecay.errors import BadInput, require


def check_model(model):
    """Raises `BadInput` unless it is a built Keras model with something to train."""
    require(
        isinstance(model, keras.layers.Layer),
        f"Sharpness is measured of a Keras model. Received: {model!r}",
    )
    require(
        model.built,
        f"The model {model.name!r} is not built: call it on data or model.build(input_shape) "
        "before it is measured.",
    )
    require(
        model.trainable_variables,
        f"The model {model.name!r} has no trainable variable, so there is nothing to measure.",
    )


def check_flag(name, value):
    """Raises `BadInput` unless the value is True or False."""
    require(isinstance(value, bool), f"`{name}` must be True or False. Received: {name}={value!r}")


def check_count(name, value, least=1):
    """Raises `BadInput` unless the value is a whole number of at least `least`."""
    require(
        isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= least,
        f"`{name}` must be a whole number >= {least}. Received: {value!r}",
    )


def check_positive(name, value):
    """Raises `BadInput` unless the value is a finite number above 0."""
    require(
        isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 < value < math.inf,
        f"`{name}` must be a number > 0. Received: {value!r}",
    )


def refuse_batch_statistics(model):
    """Names the layer, where layers with moving statistics run in training mode."""
    for layer in model._flatten_layers(include_self=True, recursive=True):
        if hasattr(layer, "moving_mean") and layer.trainable:
            raise _coupled(layer.name)


def refuse_updates(model, scope):
    """The same for layers of other names: what training mode writes, examples share."""
    for weight in model.non_trainable_weights:
        if id(weight) in scope.state_mapping:
            raise _coupled(weight.path)


def refuse_wrong_curvature(model):
    """Names a layer whose second derivatives TensorFlow gets wrong in training mode.

    `tf.nn.moments` stops the gradient of the mean inside the variance, which is right for a first
    derivative and wrong for a second.
    """
    for layer in model._flatten_layers(include_self=True, recursive=True):
        stock = type(layer) is keras.layers.BatchNormalization
        require(
            not (stock and layer.trainable),
            f"The curvature in training mode is wrong for keras.layers.BatchNormalization, as "
            f"{layer.name!r} is, whose second derivatives stop at the mean: use training=False, or "
            "tf_bdecay.layers.GhostBatchNormalization with the batch as its ghost batch.",
        )


def _coupled(name):
    return BadInput(
        "C of single examples does not exist in training mode where a layer uses the statistics "
        f"of its batch, as {name!r} does: use training=False, or per_example=False for C_m."
    )
