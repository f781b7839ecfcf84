"""The loss of each example, which sharpness is measured of, from whatever a user calls a loss."""

import json

import keras
import tensorflow as tf
from keras import ops, tree

from tf_bdecay.errors import require, shown, unknown
from tf_bdecay.frameworks import keras_private

_NOT_LOSSES = {"deserialize", "get", "serialize"}  # public names of keras.losses
_BY_SHAPE = ("crossentropy", "ce")  # names that `compile` knows and keras.losses does not


class CompiledFunction(keras.losses.Loss):
    """A function of targets and outputs, called as `compile` calls it.

    Targets and outputs become tensors of the loss's dtype. If only one of them has a last axis of
    1, that axis is added to the other, or removed from it, so that the ranks match.

    Args:
        function: callable (y, outputs) that returns values for each example.
    """

    def __init__(self, function):
        super().__init__(name=getattr(function, "__name__", None))
        self.function = function

    def call(self, y, outputs):
        """Values for each example."""
        found = [len(tree.flatten(part)) for part in (y, outputs)]
        require(
            found == [1, 1],
            "The loss is of one output, and the model or the targets have several: pass `loss`, a "
            "callable (y, outputs) that gives a value for each example. Received: "
            f"{found[0]} arrays of targets and {found[1]} outputs",
        )
        return self.function(*keras_private.of_one_rank(*tree.flatten((y, outputs))))


def crossentropy(y, outputs):
    """The cross-entropy of probabilities that `compile` picks for "crossentropy", by the shapes."""
    if outputs.shape[-1] == 1:
        return keras.losses.binary_crossentropy(y, outputs)
    if len(y.shape) < len(outputs.shape) or y.shape[-1] == 1:
        return keras.losses.sparse_categorical_crossentropy(y, outputs)
    return keras.losses.categorical_crossentropy(y, outputs)


def function_of(loss):
    """The function inside a `CompiledFunction`; any other loss unchanged."""
    return loss.function if isinstance(loss, CompiledFunction) else loss


def resolve_loss(loss):
    """Resolves a loss's name or a function of Keras; returns any other loss unchanged.

    Args:
        loss: the name of a Keras loss or a function of keras.losses, with its meaning in `compile`
            (a cross-entropy by name expects probabilities); a `keras.losses.Loss`; or a callable
            (y, outputs), which receives the targets as they are, except that floats get the
            outputs' precision.

    Raises:
        BadInput: an unknown name, or something that cannot be called.
    """
    if isinstance(loss, str) and loss.lower() in _BY_SHAPE:
        return CompiledFunction(crossentropy)
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            names = [n for n in dir(keras.losses) if n.islower() and n[0] != "_"]
            names += _BY_SHAPE
            raise unknown("loss", loss, sorted({*names, "mae", "mse"} - _NOT_LOSSES)) from None
    require(
        callable(loss) and not isinstance(loss, type),
        "The loss must be a callable (y, outputs) that gives a value for each example, a Keras "
        f"loss, or the name of one. Received: loss={shown(loss)}",
    )
    name = getattr(loss, "__name__", "")
    return CompiledFunction(loss) if loss is getattr(keras.losses, name, None) else loss


def compiled_loss(model):
    """The loss that a model was compiled with; a user's function becomes a `CompiledFunction`.

    Raises:
        BadInput: the model has none, or one for each of several outputs.
    """
    loss = getattr(model, "loss", None)
    require(
        loss is not None,
        f"The model {model.name!r} was compiled without a loss: pass `loss`, a callable "
        "(y, outputs) that gives a value for each example (what `add_loss` adds is of a batch, and "
        "has none).",
    )
    loss = only_leaf(loss)
    require(
        not isinstance(loss, (dict, list, tuple)),
        f"The model {model.name!r} was compiled with a loss for each of several outputs: pass "
        "`loss`, a callable (y, outputs) that gives a value for each example.",
    )
    is_function = callable(loss) and not isinstance(loss, (type, keras.losses.Loss))
    return CompiledFunction(loss) if is_function else loss


def only_leaf(structure):
    """The only leaf of a structure, as Keras takes a model of one output; else the structure."""
    leaves = tree.flatten(structure)
    return leaves[0] if len(leaves) == 1 else structure


def loss_key(loss):
    """A hashable key, equal for losses that compute the same, as far as that can be told.

    Keras' own losses are compared by their arguments, so that one made anew at each call is
    recognised; names are compared by value, and everything else by identity.
    """
    if isinstance(loss, CompiledFunction):
        return CompiledFunction, id(loss.function)
    if isinstance(loss, keras.losses.Loss):
        kind = type(loss)
        if kind is getattr(keras.losses, kind.__name__, None):
            return kind, json.dumps(loss.get_config(), sort_keys=True, default=repr)
    return loss if isinstance(loss, str) else id(loss)


def example_losses(loss, y, outputs, examples):
    """Loss of each example, l(theta; (x_i, y_i)).

    A Keras loss's reduction over examples is undone. If the loss has several values per example
    (positions, pixels), they are reduced as the loss reduces all: to their mean, or their sum.

    Args:
        loss: from `resolve_loss`.
        y: targets, tensors of leading dimension `examples`.
        outputs: the model's outputs for the same examples.
        examples: the number of examples, an int.

    Returns:
        Tensor [examples], at least float32.

    Raises:
        BadInput: the loss has no value for each example, or masks some.
    """
    summed = False
    dtype = keras.backend.result_type(*(t.dtype for t in tree.flatten(outputs)), "float32")
    if isinstance(loss, keras.losses.Loss):
        y, outputs = tree.map_structure(lambda t: ops.convert_to_tensor(t, dtype), (y, outputs))
        values = loss.call(*map(only_leaf, (y, outputs)))
        summed = loss.reduction == "sum"
        require(
            all(keras_private.mask_of(t) is None for t in [values, *tree.flatten(outputs)]),
            f"The loss {loss.name!r} leaves masked values out (a mask, or ignore_class), so its "
            "examples have no weight of their own: pass a callable (y, outputs) that gives a value "
            "for each example.",
        )
    else:
        # NumPy's floats are float64, and `compile` gives a function those of its model.
        y = tree.map_structure(lambda t: tf.cast(t, dtype) if t.dtype.is_floating else t, y)
        values = loss(y, outputs)
    values = tf.convert_to_tensor(values)
    # A loss may return an unknown length; if it is wrong, the reshape below fails at run time.
    each = values.shape.rank != 0 and values.shape[:1].is_compatible_with([examples])
    require(
        each,
        f"The loss must give a value for each example, of shape [{examples}] for {examples} "
        "examples; one that already averages cannot be undone: pass a Keras loss, or a callable "
        f"that does not reduce. Received: a value of shape {values.shape}",
    )
    values = at_least_float32(values)
    values = tf.reshape(values, (examples, -1))
    return tf.reduce_sum(values, 1) if summed else tf.reduce_mean(values, 1)


def at_least_float32(tensor):
    """A tensor of half precision as float32, in which sums are taken; any other unchanged."""
    return tf.cast(tensor, keras.backend.result_type(tensor.dtype, "float32"))
