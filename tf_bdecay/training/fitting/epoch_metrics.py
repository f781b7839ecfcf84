"""The metrics of an unfinished epoch, for each replica.

They are kept per replica because the order of summation affects the last bits.
"""

import keras
import numpy as np
import tensorflow as tf

from tf_bdecay.distribution import replica_values, sharding, strategies

PREFIX = "metric/"


def snapshot(model):
    """Copies the metrics' variables to the host.

    Args:
        model: a compiled model whose metrics are built.

    Returns:
        Dict of label to array [replicas, ...].
    """
    strategy, labelled = model.distribute_strategy, labelled_of(model)
    if strategies.is_multi_worker(strategy):
        return _gathered(strategy, labelled)
    return {
        label: np.stack(replica_values.values_of(model, variable))
        for label, variable in labelled.items()
    }


def assign(model, metrics):
    """Assigns to the metrics' variables what `snapshot` copied, perhaps on other replicas.

    Args:
        model: as in `snapshot`, with the same metrics.
        metrics: from `snapshot`.
    """
    for label, variable in labelled_of(model).items():
        replica_values.assign(model, variable, metrics[label])


class Restores(keras.callbacks.Callback):
    """Restores the metrics of an unfinished epoch after `fit` has set them to zero.

    Args:
        metrics: from `snapshot`.
    """

    def __init__(self, metrics):
        super().__init__()
        self._metrics = metrics

    def on_epoch_begin(self, epoch, logs=None):
        """Assigns them, once."""
        if self._metrics:
            assign(self.model, self._metrics)
            self._metrics = None


def labelled_of(model):
    """Dict of label to variable, of a compiled model's metrics."""
    return {f"{PREFIX}{i:04d}/{v.name}": v for i, v in enumerate(model.metrics_variables)}


def _gathered(strategy, labelled):
    """The metrics of all workers' replicas, in one reduction in which all must take part."""

    def own():
        flat = [tf.reshape(_on_this_replica(v.value), [-1]) for v in labelled.values()]
        return tf.concat([tf.cast(t, "float64") for t in flat], 0)

    found = sharding.gathered(strategy, own)
    sizes = [int(np.prod(variable.shape)) for variable in labelled.values()]
    parts = np.split(found, np.cumsum(sizes)[:-1], axis=1)
    return {
        label: part.reshape([-1, *variable.shape]).astype(variable.dtype)
        for (label, variable), part in zip(labelled.items(), parts, strict=True)
    }


def _on_this_replica(variable):
    """A variable's value on this replica; read across replicas, it would be the sum over all."""
    return variable.read_value() if hasattr(variable, "read_value") else variable
