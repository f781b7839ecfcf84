"""The loss of one example: what sharpness is measured of, from whatever a user calls a loss."""

import json

import keras
import tensorflow as tf
from keras import ops, tree

from tf_bdecay import keras_private
from tf_bdecay.errors import require, unknown

_NOT_LOSSES = {"deserialize", "get", "serialize"}  # public names of keras.losses


def resolve_loss(loss):
    """The callable that a loss's name stands for; any other loss as it is.

    Args:
        loss: the name of a Keras loss, which means what it means in `compile`: a cross-entropy by
            name expects probabilities; a `keras.losses.Loss`; or a callable (y, outputs).

    Raises:
        BadInput: an unknown name, or something that cannot be called.
    """
    if isinstance(loss, str):
        try:
            return keras.losses.get(loss)
        except ValueError:
            names = [n for n in dir(keras.losses) if n.islower() and n[0] != "_"]
            raise unknown("loss", loss, sorted({*names, "mae", "mse"} - _NOT_LOSSES)) from None
    require(
        callable(loss) and not isinstance(loss, type),
        "The loss must be a callable (y, outputs) that gives a value for each example, a Keras "
        f"loss, or the name of one. Received: loss={loss!r}",
    )
    return loss


def compiled_loss(model):
    """The loss that a model was compiled with.

    Raises:
        BadInput: the model has none, or one for each of several outputs.
    """
    loss = getattr(model, "loss", None)
    require(
        loss is not None,
        f"The model {model.name!r} was compiled without a loss: pass `loss`, a callable "
        "(y, outputs) that gives a value for each example.",
    )
    if isinstance(loss, (list, tuple)) and len(loss) == 1:
        loss = loss[0]
    require(
        not isinstance(loss, (dict, list, tuple)),
        f"The model {model.name!r} was compiled with a loss for each of several outputs: pass "
        "`loss`, a callable (y, outputs) that gives a value for each example.",
    )
    return loss


def loss_key(loss):
    """Hashable, equal for losses that compute the same, as far as that can be told.

    Keras' own losses are told by their arguments, so that one made anew at each call is known
    again; all else is told by identity.
    """
    if isinstance(loss, keras.losses.Loss):
        kind = type(loss)
        if kind is getattr(keras.losses, kind.__name__, None):
            return kind, json.dumps(loss.get_config(), sort_keys=True, default=repr)
    return loss if isinstance(loss, str) else id(loss)


def example_losses(loss, y, outputs, examples):
    """Loss of each example, l(theta; (x_i, y_i)).

    The reduction of a Keras loss over examples is undone. Where the loss has several values for an
    example (positions, pixels) they are reduced as it does over all: their mean, or their sum.

    Args:
        loss: from `resolve_loss`.
        y: targets, tensors of leading dimension `examples`.
        outputs: the model's outputs for as many examples.
        examples: their number, an int.

    Returns:
        Tensor [examples], at least float32.

    Raises:
        BadInput: the loss has no value for each example, or masks some.
    """
    summed = False
    if isinstance(loss, keras.losses.Loss):
        dtype = keras.backend.result_type(*(t.dtype for t in tree.flatten(outputs)), "float32")
        y, outputs = tree.map_structure(lambda t: ops.convert_to_tensor(t, dtype), (y, outputs))
        values = loss.call(y, outputs)
        summed = loss.reduction == "sum"
        require(
            not any(map(keras_private.has_mask, [values, *tree.flatten(outputs)])),
            f"The loss {loss.name!r} leaves masked values out (a mask, or ignore_class), so its "
            "examples have no weight of their own: pass a callable (y, outputs) that gives a value "
            "for each example.",
        )
    else:
        values = loss(y, outputs)
    values = tf.convert_to_tensor(values)
    # An unknown length is the loss's own doing; the reshape below then tells at run time.
    each = values.shape.rank != 0 and values.shape[:1].is_compatible_with([examples])
    require(
        each,
        f"The loss must give a value for each example, of shape [{examples}] for {examples} "
        "examples; one that already averages cannot be undone: pass a Keras loss, or a callable "
        f"that does not reduce. Received: a value of shape {values.shape}",
    )
    values = tf.cast(values, keras.backend.result_type(values.dtype, "float32"))
    values = tf.reshape(values, (examples, -1))
    return tf.reduce_sum(values, 1) if summed else tf.reduce_mean(values, 1)
