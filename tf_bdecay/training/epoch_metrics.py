"""The metrics of an unfinished epoch, each replica's own: their order of addition is in the bits.

`fit` sets them to zero before each epoch; so a run that goes on in the middle of one puts them back
when the epoch has begun.
"""

import keras
import numpy as np
import tensorflow as tf

from tf_bdecay.distribution import sharding
from tf_bdecay.distribution.strategies import is_multi_worker


def snapshot(trainer):
    """Copies the metrics' variables to the host.

    Args:
        trainer: a compiled model whose metrics are built.

    Returns:
        Dict of label to array [replicas, ...].
    """
    if is_multi_worker(trainer.distribute_strategy):
        return _snapshot_of_workers(trainer)
    local = trainer.distribute_strategy.experimental_local_results
    return {
        label: np.stack([np.array(copy.numpy()) for copy in local(variable.value)])
        for label, variable in _labelled(trainer)
    }


def assign(trainer, arrays):
    """Puts back what `snapshot` copied.

    On another number of replicas the first takes the sum of all: metrics are sums over examples.

    Args:
        trainer: as for `snapshot`, of the same metrics.
        arrays: from `snapshot`.
    """
    strategy = trainer.distribute_strategy
    local = strategy.experimental_local_results
    own = sharding.own_replicas(strategy) if is_multi_worker(strategy) else None
    for label, variable in _labelled(trainer):
        copies, values = local(variable.value), arrays[label]
        if len(values) != strategy.num_replicas_in_sync:
            total = values.sum(axis=0)
            rest = np.zeros_like(total)
            values = [total, *(rest for _ in range(strategy.num_replicas_in_sync - 1))]
        if own is not None:
            values = values[own.start : own.stop]
        for copy, value in zip(copies, values, strict=True):
            copy.assign(value)


class GoesOn(keras.callbacks.Callback):
    """Puts the metrics back once, when the first epoch has begun.

    Args:
        arrays: from `snapshot`.
    """

    def __init__(self, arrays):
        super().__init__()
        self._arrays = arrays

    def on_epoch_begin(self, epoch, logs=None):
        """Assigns them, after `fit` has set them to zero."""
        if self._arrays:
            assign(self.model, self._arrays)
            self._arrays = None


def _snapshot_of_workers(trainer):
    """The same over all workers, in one reduction that all of them must come to."""
    labelled = _labelled(trainer)

    def own():
        flat = [tf.reshape(_local(v.value), [-1]) for _, v in labelled]
        return tf.concat([tf.cast(t, "float64") for t in flat], 0)

    found = sharding.gathered(trainer.distribute_strategy, own)
    arrays, begin = {}, 0
    for label, variable in labelled:
        size = int(np.prod(variable.shape))
        part = found[:, begin : begin + size].reshape([-1, *variable.shape])
        arrays[label] = part.astype(variable.dtype)
        begin += size
    return arrays


def _local(variable):
    """A variable's value on this replica; read as a whole it would be the sum over all."""
    return variable.read_value() if hasattr(variable, "read_value") else variable


def _labelled(trainer):
    return [
        (f"metric/{i:04d}/{variable.name}", variable)
        for i, variable in enumerate(trainer.metrics_variables)
    ]
