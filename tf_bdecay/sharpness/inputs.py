"""What every measure asks of a model and of its arguments, and the sentences that say so."""

import contextlib
import math
import numbers
import re

import keras
from keras import tree

from tf_bdecay import keras_private
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


@contextlib.contextmanager
def told_apart(x, y):
    """Turns what the model or the loss says of examples that they do not take into one sentence.

    TensorFlow's InvalidArgumentError is told by its name: this module is read without TensorFlow.
    """
    try:
        yield
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if isinstance(error, BadInput) or not kinds & {"ValueError", "InvalidArgumentError"}:
            raise
        shapes = [", ".join(str(a.shape[1:]) for a in tree.flatten(part)) for part in (x, y)]
        raise BadInput(
            f"The model or the loss cannot take these examples ({_reason(error)}): pass x as the "
            f"model takes it and y as the loss does. Received: x of shape {shapes[0]} and y of "
            f"shape {shapes[1]} an example"
        ) from error


_NO_REASON = ("Exception encountered", "Graph execution error", "Detected at", "File", "Arguments")


def _reason(error):
    """The sentence of a message of Keras or TensorFlow that says why."""
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines()]
    found = [line for line in lines if line and not line.startswith(_NO_REASON)]
    return found[0].split(". ")[0].rstrip(".") if found else type(error).__name__


def refuse_batch_statistics(model):
    """Names the layer, where layers with moving statistics run in training mode."""
    for layer in keras_private.layers_of(model):
        if hasattr(layer, "moving_mean") and layer.trainable:
            raise _coupled(layer.name)


def refuse_updates(model, scope):
    """The same for layers of other names: what training mode writes, examples share."""
    for weight in model.non_trainable_weights:
        if id(weight) in scope.state_mapping:
            raise _coupled(weight.path)


def _coupled(name):
    return BadInput(
        "C of single examples does not exist in training mode where a layer uses the statistics "
        f"of its batch, as {name!r} does: use training=False, or per_example=False for C_m."
    )
