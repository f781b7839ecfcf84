"""The metrics of an unfinished epoch, each replica's own: their order of addition is in the bits.

`fit` sets them to zero before each epoch; so a run that goes on in the middle of one puts them back
when the epoch has begun.
"""

import keras
import numpy as np


def snapshot(trainer):
    """Copies the metrics' variables to the host.

    Args:
        trainer: a compiled model whose metrics are built.

    Returns:
        Dict of label to array [replicas, ...].
    """
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
    local = trainer.distribute_strategy.experimental_local_results
    for label, variable in _labelled(trainer):
        copies, values = local(variable.value), arrays[label]
        if len(copies) != len(values):
            total = values.sum(axis=0)
            values = [total, *(np.zeros_like(total) for _ in copies[1:])]
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


def _labelled(trainer):
    return [
        (f"metric/{i:04d}/{variable.name}", variable)
        for i, variable in enumerate(trainer.metrics_variables)
    ]
