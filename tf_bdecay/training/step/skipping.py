"""Undoes what the forward pass of a skipped update changed in the state of layers."""

import tensorflow as tf

from tf_bdecay.distribution.strategies import own_copy
from tf_bdecay.optim.base import DecayByRole, unwrapped


def restorer(optimizer, state):
    """Remembers state before a forward pass; to be called in a replica context.

    An update was skipped if the optimizer did not count it, whether the optimizer decided so or a
    LossScaleOptimizer around it. Remembering a value does not copy it.

    Args:
        optimizer: the update's optimizer; if it is not one of tf_bdecay, nothing is restored.
        state: list of Keras variables that the forward pass may assign.

    Returns:
        Function to call after the update: if it was skipped, this replica's copies of the variables
        get their old values back.
    """
    inner = unwrapped(optimizer)
    skips = inner is not optimizer or getattr(inner, "skip_nonfinite", False)
    if not isinstance(inner, DecayByRole) or not skips or not state:
        return lambda: None
    copies = [own_copy(v) for v in state]
    before = [tf.identity(copy) for copy in copies]
    done = tf.identity(inner.iterations.value)

    def undo_if_skipped():
        def write():
            for copy, value in zip(copies, before, strict=True):
                copy.assign(value)

        tf.cond(inner.iterations.value > done, lambda: None, write)

    return undo_if_skipped
