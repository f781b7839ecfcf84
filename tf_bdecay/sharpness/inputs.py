"""What every measure asks of a model and of its arguments, and the sentences that say so."""

import contextlib
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


@contextlib.contextmanager
def naming_shapes(x, y):
    """Turns an error of the model or the loss over examples into a sentence with their shapes.

    TensorFlow's InvalidArgumentError is known by its name: this module is read without TensorFlow.
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
