"""Checks of model and arguments that all measures share, and their error sentences."""

import contextlib
import re

import keras
from keras import tree

from tf_bdecay.errors import BadInput, require, shown
from tf_bdecay.frameworks import keras_private


def check_model(model):
    """Raises `BadInput` unless it is a built Keras model with something to train."""
    require(
        isinstance(model, keras.layers.Layer),
        f"Sharpness is measured of a Keras model. Received: {shown(model)}",
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
    """Turns an error of the model or the loss on examples into a `BadInput` with their shapes.

    TensorFlow's errors are recognised by name, so that this module needs no TensorFlow.
    """
    try:
        yield
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if isinstance(error, BadInput) or not kinds & _OF_EXAMPLES:
            raise
        (x, x_types), (y, y_types) = map(_shapes_and_types, (x, y))
        raise BadInput(
            f"The model or the loss cannot take these examples ({sentence_of(error)}): pass x as "
            f"the model takes it and y as the loss does. Received: x of shape {x} and y of shape "
            f"{y} an example, of {x_types} and {y_types}"
        ) from error


# What Keras, TensorFlow and a loss in Python raise on tensors that they cannot take.
_OF_EXAMPLES = {
    "ArithmeticError",
    "AttributeError",
    "InvalidArgumentError",
    "LookupError",
    "NotFoundError",
    "NotImplementedError",
    "TypeError",
    "UnimplementedError",
    "ValueError",
}


def _shapes_and_types(part):
    """Shapes of the arrays, without their first axis, and dtypes: two phrases for a sentence."""
    arrays = tree.flatten(part)
    return few([a.shape[1:] for a in arrays]), few([a.dtype for a in arrays])


def few(things):
    """The first four items of a list, and how many more there are: a phrase for a sentence."""
    more = f" and {len(things) - 4} more" if len(things) > 4 else ""
    return (", ".join(map(str, things[:4])) or "none") + more


_MOST_OF_REASON = 300  # characters
_NO_REASON = (
    "Exception encountered",
    "Graph execution error",
    "Detected at",
    "File",
    "Arguments",
    "<",
)


def sentence_of(error):
    """The sentence in a Keras or TensorFlow message that gives the cause, of bounded length."""
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines()]
    found = [line for line in lines if line and not line.startswith(_NO_REASON)]
    text = found[0].split(". ")[0].rstrip(".") if found else type(error).__name__
    return text if len(text) <= _MOST_OF_REASON else text[:_MOST_OF_REASON] + "..."


def reason(error):
    """Why something failed, in a sentence; an error other than ours begins with its type."""
    if isinstance(error, BadInput):
        return str(error).rstrip(".")
    return f"{type(error).__name__}: {sentence_of(error)}"


def refuse_batch_statistics(model):
    """Raises `BadInput` if a layer would use the statistics of its batch in training mode."""
    for layer in keras_private.layers_of(model):
        if hasattr(layer, "moving_mean") and layer.trainable:
            raise _coupled(layer.name)


def refuse_updates(model, scope):
    """Raises `BadInput` if training mode wrote a non-trainable weight: examples would share it."""
    for weight in model.non_trainable_weights:
        if id(weight) in scope.state_mapping:
            raise _coupled(weight.path)


def _coupled(name):
    return BadInput(
        "C of single examples does not exist in training mode where a layer uses the statistics of "
        f"its batch, or moves what it keeps, as {name!r} does: use training=False, or "
        "per_example=False for C_m."
    )
