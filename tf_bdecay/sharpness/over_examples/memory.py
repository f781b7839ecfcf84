"""How many examples a measure may hold at once: their estimated bytes against a budget."""

import math
import os
import weakref

import tensorflow as tf
from keras import tree

from tf_bdecay.errors import check_count, check_number, require
from tf_bdecay.frameworks import keras_private

SHARE_OF_FREE = 0.25  # of the host's free memory, where no budget is given
ON_ACCELERATOR = 4e9  # bytes: TensorFlow reports how much of its memory is used, not what is free
MOST_AT_ONCE = 256  # examples: more at once is no faster


def examples_that_fit(network, stream, held, gradients_each, memory_gb):
    """The number of examples whose pass fits a memory budget.

        bytes = fixed + n (activations x held + parameters x gradients_each)

    `activations` are the bytes of all layers' outputs for one example, `parameters` those of all
    trainable variables; `fixed` is 4 x `parameters`, for the running sums.

    Args:
        network, stream: those of the measure.
        held: how many copies of an example's activations are held.
        gradients_each: how many gradients are held per example.
        memory_gb: the budget in 1e9 bytes; None for `default_budget`.

    Returns:
        An int in [1, 256].

    Raises:
        BadInput: the budget is smaller than one example needs.
    """
    budget = default_budget() if memory_gb is None else memory_gb * 1e9
    parameters = sum(math.prod(v.shape) * _size(v.dtype) for v in network.variables)
    each = layer_output_bytes(network, stream) * held + parameters * gradients_each
    fits = (budget - 4 * parameters) // max(each, 1)
    require(
        fits >= 1,
        f"One example at a time needs about {(4 * parameters + each) / 1e9:.3g} GB, which is more "
        f"than the memory budget: allow more. Received: memory_gb={budget / 1e9:.3g}"
        + (" (a quarter of what is free)" if memory_gb is None else ""),
    )
    return int(min(fits, MOST_AT_ONCE))


def examples_at_once(network, stream, held, given, memory_gb, gradients_each=0, batch=None):
    """The number of examples that a measure holds at once.

    In training mode a batch stays whole, except for gradients of single examples.

    Args:
        network, stream: those of the measure.
        held, gradients_each: as in `examples_that_fit`.
        given: the measure's argument `examples_at_once`, or None.
        memory_gb: the budget, or None.
        batch: how many examples are summed over; None for all.

    Raises:
        BadInput: numbers out of range; in training mode, fewer than the batch; too little memory.
    """
    if given is not None:
        check_count("examples_at_once", given)
    if memory_gb is not None:
        check_number("memory_gb", memory_gb, above=0)
    if network.training and not gradients_each:
        batch = batch or stream.count()
        require(
            given is None or given >= batch,
            f"In training mode the {batch} examples are one batch, for batch statistics depend on "
            f"all of them: leave `examples_at_once` out. Received: {given}",
        )
        return batch
    if given is None:
        given = examples_that_fit(network, stream, held, gradients_each, memory_gb)
    return min(given, batch or stream.examples or given)


def layer_output_bytes(network, stream):
    """Bytes of all layers' outputs for one example.

    A functional model's graph tells them. Layers that run inside a user's own `call`, or inside a
    layer such as MultiHeadAttention, are in no such graph. Then all tensors that one traced example
    makes are counted, which is more than are held at once.
    """
    layers = keras_private.layers_of(network.model, include_self=False)
    if not all(map(keras_private.calls_of, layers)):
        return _traced_bytes(network, stream)
    total = 0
    for layer in layers:
        for node in keras_private.calls_of(layer):
            total += sum(_bytes(tensor.shape[1:], tensor.dtype) for tensor in node.output_tensors)
    return total


_NOT_ACTIVATIONS = {"Placeholder", "ReadVariableOp", "Const", "Identity", "Reshape", "Cast"}
_traced = weakref.WeakKeyDictionary()  # model -> {shapes of an example: bytes}


def _traced_bytes(network, stream):
    example = stream.first()
    specs = tree.map_structure(lambda a: tf.TensorSpec((1, *a.shape[1:]), a.dtype), example)
    kept = _traced.setdefault(network.model, {})
    key = tuple((spec.shape, spec.dtype) for spec in tree.flatten(specs))
    if key not in kept:
        graph = tf.function(network.outputs, autograph=False).get_concrete_function(specs).graph
        kept[key] = sum(
            _bytes(tensor.shape, tensor.dtype)
            for operation in graph.get_operations()
            if operation.type not in _NOT_ACTIVATIONS
            for tensor in operation.outputs
            if tensor.shape.rank and tensor.dtype.is_floating
        )
    return kept[key]


def _bytes(shape, dtype):
    """Bytes of a tensor, in float32 or wider; an unknown length counts as 1."""
    return math.prod(n or 1 for n in shape) * max(_size(dtype), 4)


def _size(dtype):
    return tf.as_dtype(dtype).size


def check_vectors(count, operator, what, memory_gb):
    """Raises `BadInput` if vectors of all parameters take more than the budget.

    Args:
        count: how many are held at once.
        operator: a `HessianOperator`.
        what: two phrases for the sentence: whose vectors they are, and what would need fewer.
        memory_gb: the budget in 1e9 bytes, or None.
    """
    budget = default_budget() if memory_gb is None else memory_gb * 1e9
    needed = count * operator.shape[0] * operator.dtype.itemsize
    require(
        needed <= budget,
        f"{count} {what[0]} of {operator.shape[0]:,} parameters take {needed / 1e9:.3g} GB, which "
        f"is more than the memory budget, into which {int(budget // (needed / count)):,} fit: "
        f"{what[1]}allow more memory. Received: memory_gb={budget / 1e9:.3g}",
    )


def default_budget():
    """The default memory budget in bytes: a quarter of free host memory, 4e9 on an accelerator."""
    if tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return ON_ACCELERATOR
    return SHARE_OF_FREE * _free_bytes()


def _free_bytes():
    """Bytes of memory that the host can give without swapping."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # not Linux: take half of the memory as free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
