"""What a variable holds on each replica, under any backend: sums of metrics, moving statistics."""

import keras
import numpy as np


def values_of(model, variable):
    """The values of a Keras variable on this process's replicas.

    Args:
        model: the model that has the variable, or whose metric has it.
        variable: the variable.

    Returns:
        List of arrays, which further training does not change; one without a strategy.
    """
    if keras.backend.backend() != "tensorflow":
        return [np.array(keras.ops.convert_to_numpy(variable.value))]
    from tf_bdecay.distribution import strategies  # which needs TensorFlow

    copies = strategies.copies(model.distribute_strategy, variable)
    return [np.array(copy.numpy()) for copy in copies]


def assign(model, variable, values):
    """Gives each of this process's replicas its value.

    On another number of replicas the first takes the sum of all: metrics are sums over examples.

    Args:
        model, variable: as in `values_of`.
        values: array [replicas, ...], of all processes' replicas.
    """
    if keras.backend.backend() != "tensorflow":
        variable.assign(values[0] if len(values) == 1 else values.sum(axis=0))
        return
    from tf_bdecay.distribution import sharding, strategies

    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    shared = strategies.is_multi_worker(strategy)
    own = sharding.own_replicas(strategy) if shared else range(replicas)
    values = strategies.shared_out(values, replicas)
    for copy, index in zip(strategies.copies(strategy, variable), own, strict=True):
        copy.assign(values[index])
