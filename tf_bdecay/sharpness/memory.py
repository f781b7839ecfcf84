"""How many examples a measure may hold at once: an estimate of their bytes, against a budget."""

import math
import os

import tensorflow as tf

from tf_bdecay.errors import require

SHARE_OF_FREE = 0.25  # of the host's free memory, where no budget is given
ON_ACCELERATOR = 4e9  # bytes, the budget there: TensorFlow tells what is used, not what is free
MOST_AT_ONCE = 256  # examples: more at once is no faster


def examples_at_once(network, held, gradients_each, memory_gb):
    """The number of examples whose pass fits a memory budget.

        bytes = fixed + n (activations x held + parameters x gradients_each)

    Activations are the outputs of all layers for one example, parameters the bytes of all trainable
    variables; fixed is four times the latter, for what is summed up.

    Args:
        network: a `Network`.
        held: how many times the activations of an example are held.
        gradients_each: how many gradients are held for every example.
        memory_gb: the budget in 1e9 bytes; None for a quarter of the memory that is free.

    Returns:
        An int in [1, 256].

    Raises:
        BadInput: the budget is smaller than one example needs.
    """
    budget = default_budget() if memory_gb is None else memory_gb * 1e9
    parameters = sum(math.prod(v.shape) * _size(v.dtype) for v in network.variables)
    each = activation_bytes(network.model) * held + parameters * gradients_each
    fits = (budget - 4 * parameters) // max(each, 1)
    require(
        fits >= 1,
        f"One example at a time needs about {(4 * parameters + each) / 1e9:.3g} GB, which is more "
        f"than the memory budget: allow more. Received: memory_gb={budget / 1e9:.3g}"
        + (" (a quarter of what is free)" if memory_gb is None else ""),
    )
    return int(min(fits, MOST_AT_ONCE))


def activation_bytes(model):
    """Bytes of all layers' outputs for one example, as far as their shapes are known."""
    total = 0
    for layer in model._flatten_layers(include_self=False, recursive=True):
        for node in getattr(layer, "_inbound_nodes", ()):
            for tensor in node.output_tensors:
                known = [n or 1 for n in tensor.shape[1:]]  # an open length counts as 1
                total += math.prod(known) * max(_size(tensor.dtype), 4)
    return total


def _size(dtype):
    return tf.as_dtype(dtype).size


def default_budget():
    """The memory budget in bytes where none is given: a quarter of what the host has free."""
    if tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return ON_ACCELERATOR
    return SHARE_OF_FREE * _free_bytes()


def _free_bytes():
    """Memory that the host can give without swapping."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # not Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
