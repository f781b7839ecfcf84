"""Finds out on a model's own data whether micro-batches give it the update of its whole batch.

Models of Keras' own layers and losses that work example by example are known to pass. Anything else
is run once on a few examples, at once and in two parts: outputs, loss, gradients and what layers
keep must be equal. A tolerance of 1e-3 is far above rounding in float32, and far below the
difference where the batch as a whole matters.
"""

import contextlib
import itertools
import math
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from tf_bdecay.batch_checks import first_tensor
from tf_bdecay.errors import BadInput, require
from tf_bdecay.frameworks import keras_private
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.training.step import accumulation
from tf_bdecay.training.step.loss_shares import is_ours

TOLERANCE = {"float64": 1e-8, "float32": 1e-3}  # else 0.05; relative to the norms
ELEMENTWISE = ("Absolute", "Add", "Cast", "Divide", "Equal", "LogicalAnd", "LogicalOr", "Maximum")
ELEMENTWISE += ("Minimum", "Multiply", "Negative", "NotEqual", "Power", "Relu", "Sigmoid", "Silu")
ELEMENTWISE += ("Sqrt", "Square", "Subtract", "Tanh", "TrueDivide")
OF_THE_BATCH = ("Circle", "Dice", "Tversky", "circle", "dice", "tversky")
NOISES = ("rate", "stddev", "dropout", "recurrent_dropout")  # attributes of Keras' layers


def unknown_parts(trainer):
    """Names of the layers, operations and losses that are not known to work by example."""
    parts = [
        f"the layer {layer.name!r} ({type(layer).__name__})"
        for layer in keras_private.layers_of(trainer, include_self=False)
        if not _known_layer(layer)
    ]
    graphs = map(keras_private.graph_of, keras_private.layers_of(trainer))
    operations = (n.operation for g in graphs if g is not None for n in keras_private.nodes_of(g))
    parts += [
        f"the operation {operation.name!r} ({type(operation).__name__})"
        for operation in operations
        if not isinstance(operation, keras.layers.Layer)
        and type(operation).__name__ not in ELEMENTWISE
    ]
    losses = tree.flatten(getattr(trainer, "loss", None))
    parts += [f"the loss {_name(one)!r}" for one in losses if not _known_loss(one)]
    if type(trainer).compute_loss is not keras.Model.compute_loss:
        parts.append(f"{type(trainer).__name__}.compute_loss")
    return list(dict.fromkeys(parts))


def checked_first(trainer, function):
    """A train function that checks the first batch, if anything in the model is unknown.

    Args:
        trainer: the compiled `Trainer`.
        function: Keras' train function, which takes an iterator.
    """
    if trainer.micro_batch_size is None or not unknown_parts(trainer):
        return function
    checked = False

    def checks(iterator):
        nonlocal checked
        if checked:
            return function(iterator)
        batches = list(itertools.islice(iterator, trainer.steps_per_execution))
        if not batches:
            raise StopIteration
        local = trainer.distribute_strategy.experimental_local_results
        first = tree.map_structure(lambda t: local(t)[0], batches[0])
        checked = check(trainer, keras.utils.unpack_x_y_sample_weight(first))
        return function(iter(batches))

    return checks


def check(trainer, data):
    """Compares a pass over some examples at once with a pass over the same examples in two parts.

    No weight, no state and no metric changes.

    Args:
        trainer: the compiled `Trainer`.
        data: (x, y, sample_weight), structures of tensors or arrays of one length, or None.

    Returns:
        Whether the batch was large enough to be cut, and its gradients finite.

    Raises:
        BadInput: the two differ, or the trainer has no micro_batch_size.
    """
    require(
        trainer.micro_batch_size is not None,
        "check_micro_batches needs a trainer compiled with a micro_batch_size. "
        "Received: micro_batch_size=None",
    )
    data = tree.map_structure(lambda t: None if t is None else tf.convert_to_tensor(t), data)
    examples = first_tensor(data).shape[0]
    size = _part(trainer, examples)
    if not size:
        return False
    data = tree.map_structure(lambda t: None if t is None else t[: 2 * size], data)
    with _without_noise(trainer):
        whole, cut = _passes(trainer, data, size)
    if _draws(whole.state):
        warnings.warn(
            "A layer draws random numbers of its own, so whether micro-batches change the update "
            f"cannot be found out: {_list(unknown_parts(trainer))}.",
            stacklevel=2,
        )
        return True
    if not all(np.isfinite(t).all() for t in [whole.loss, *_present(whole.gradients)]):
        return False
    outputs = _distance(tree.flatten(whole.outputs), tree.flatten(cut.outputs))
    differences = {
        "outputs": outputs,
        "losses": _distance([whole.loss], [cut.loss]),
        "gradients": _distance(_present(whole.gradients), _present(cut.gradients)),
        **{f"new values of {path!r}": d for path, d in _states(trainer, whole, cut).items()},
    }
    limit = TOLERANCE.get(keras.backend.standardize_dtype(trainer.compute_dtype), 0.05)
    wrong = [what for what, d in differences.items() if not d <= limit]
    if wrong:
        raise BadInput(
            f"Micro-batches would change the update: of {2 * size} examples at once and of the "
            f"same in 2 parts the {wrong[0]} differ by {differences[wrong[0]]:.2g} of their norm. "
            f"What may depend on the batch as a whole: {_list(unknown_parts(trainer))}. Use no "
            "micro_batch_size, or a loss that is a sum or a mean over examples, and layers that "
            f"look at one example at a time. Received: micro_batch_size={trainer.micro_batch_size}"
        )
    return True


def _passes(trainer, data, size):
    """The `Pass` over a batch at once, and the one in parts, as NumPy arrays."""

    @tf.function(autograph=False)
    def run():
        # Variables cannot leave a graph, so they go into a list beside it.
        found = accumulation.at_once(trainer, data), accumulation.accumulated(trainer, data, size)
        for one in found:
            variables[:] = [*variables, [v for v, _ in one.state]]
        return [
            one._replace(
                state=[value for _, value in one.state],
                gradients=[g if g is None else tf.convert_to_tensor(g) for g in one.gradients],
            )
            for one in found
        ]

    variables = []
    found = tree.map_structure(lambda t: None if t is None else t.numpy(), run())
    return [
        one._replace(state=list(zip(own, one.state, strict=True)))
        for one, own in zip(found, variables, strict=True)
    ]


def _part(trainer, examples):
    """Examples per part: half a micro-batch, but whole ghost batches; 0 if there are too few."""
    ghosts = [
        layer.ghost_batch_size
        for layer in keras_private.layers_of(trainer)
        if isinstance(layer, GhostBatchNormalization) and layer.trainable
    ]
    unit = math.lcm(*ghosts)
    most = max(trainer.micro_batch_size // 2, unit)
    return min(most, examples // 2) // unit * unit


@contextlib.contextmanager
def _without_noise(trainer):
    """Inside, Keras' own random layers draw nothing."""
    layers = filter(keras_private.is_from_keras, keras_private.layers_of(trainer))
    noises = [
        (layer, name, getattr(layer, name))
        for layer in layers
        for name in NOISES
        # A recurrent layer's `dropout` belongs to its cell, which is among the layers too.
        if not isinstance(getattr(type(layer), name, None), property)
        and isinstance(getattr(layer, name, None), float)
    ]
    for layer, name, _ in noises:
        setattr(layer, name, 0.0)
    try:
        yield
    finally:
        for layer, name, value in noises:
            setattr(layer, name, value)


def _draws(state):
    return any(keras_private.is_seed(v) for v, _ in state)


def _states(trainer, whole, cut):
    """The relative difference between the two passes' changes of what layers keep, by path."""
    metrics = {id(v) for v in trainer.metrics_variables}
    other = {id(v): value for v, value in cut.state}
    found = {}
    for variable, value in whole.state:
        if id(variable) in metrics:
            continue
        old = np.asarray(variable.numpy(), "float64")
        difference = np.linalg.norm(value - other[id(variable)].astype("float64"))
        change = np.linalg.norm(value - old) + 1e-3 * np.linalg.norm(old)
        found[variable.path] = difference / change if change else difference
    return found


def _present(gradients):
    return [g for g in gradients if g is not None]


def _distance(whole, cut):
    """The norm of the difference, relative to that of the whole."""
    pairs = list(zip(whole, cut, strict=True))
    square = sum(np.sum(np.square(np.asarray(a, "float64"))) for a, _ in pairs)
    off = sum(np.sum(np.square(np.asarray(a, "float64") - b)) for a, b in pairs)
    return math.sqrt(off / square) if square else math.sqrt(off)


def _known_layer(layer):
    if is_ours(layer):
        return True
    if not keras_private.is_from_keras(layer) or isinstance(layer, keras.layers.Lambda):
        return False
    activation, axis = getattr(layer, "activation", None), getattr(layer, "axis", -1)
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    return (activation is None or keras_private.is_from_keras(activation)) and (
        0 not in axes or isinstance(layer, keras.layers.Normalization)
    )


def _known_loss(loss):
    if loss is None:
        return True
    if isinstance(loss, str):
        name = type(keras.losses.get(loss)).__name__
        return name not in OF_THE_BATCH and loss not in OF_THE_BATCH
    if is_ours(loss):
        return True
    if not isinstance(loss, keras.losses.Loss):
        return keras_private.is_from_keras(loss) and loss.__name__ not in OF_THE_BATCH
    return (
        keras_private.is_from_keras(loss)
        and type(loss).__name__ not in OF_THE_BATCH
        and keras_private.is_from_keras(getattr(loss, "fn", loss.call))
        and getattr(loss, "axis", -1) != 0
    )


def _name(loss):
    return getattr(loss, "name", None) or getattr(loss, "__name__", None) or str(loss)


def _list(parts):
    shown = parts[:5] + ([f"{len(parts) - 5} more"] if len(parts) > 5 else [])
    return ", ".join(shown)
