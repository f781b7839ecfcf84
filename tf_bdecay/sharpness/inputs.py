"""What every measure asks of a model and of its data, and the sentences that say so."""

import keras
import tensorflow as tf
from keras import tree

from tf_bdecay.errors import BadInput, require


def check_model(model):
    """Raises `BadInput` unless it is a built Keras model with something to train."""
    require(
        isinstance(model, keras.layers.Layer),
        f"Connectivity sharpness is measured of a Keras model. Received: {model!r}",
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


def examples_of(data):
    """x and y as structures of tensors, and how many examples they hold."""
    require(
        isinstance(data, (tuple, list)) and len(data) == 2,
        "The data must be a pair (x, y) of arrays with one entry an example. "
        f"Received: {type(data).__name__}"
        + (f" of {len(data)}" if isinstance(data, (tuple, list)) else ""),
    )
    try:
        x, y = tree.map_structure(tf.convert_to_tensor, tuple(data))
    except (TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise BadInput(
            "x and y must be arrays, or structures of arrays, that can be made tensors. "
            f"Received: {_types(data[0])} and {_types(data[1])} ({reason})"
        ) from error
    lengths = [
        [t.shape[0] if t.shape.rank else None for t in tree.flatten(part)] for part in (x, y)
    ]
    known = set(lengths[0] + lengths[1])
    require(
        len(known) == 1 and None not in known,
        "x and y must hold as many examples as each other, along their first axis. "
        f"Received: {_listed(lengths[0])} and {_listed(lengths[1])}",
    )
    require(known != {0}, "The data hold no examples: x and y are empty.")
    return x, y, known.pop()


def _types(part):
    return ", ".join(type(leaf).__name__ for leaf in tree.flatten(part)) or "none"


def _listed(lengths):
    return ", ".join("a scalar" if n is None else str(n) for n in lengths) or "none"


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


def _coupled(name):
    return BadInput(
        "C of single examples does not exist in training mode where a layer uses the statistics "
        f"of its batch, as {name!r} does: use training=False, or per_example=False for C_m."
    )
