"""A program of its own, because a process can have only one strategy.

    python replicas_script.py REPLICAS MEASURE ...

Prints the figures of these measures as JSON; the test itself measures with one replica.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf


def main(replicas, names):
    """Cuts the CPU into as many devices, measures, and prints the figures."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
    )
    print(json.dumps(figures(replicas, names)))


def figures(replicas, names):
    """Dict of measure to its shares, standard error and loss, from so many replicas."""
    from tests.sharpness.networks import convolutional, examples_for, ghost
    from tests.sharpness.over_examples.test_network import LOSS, MEASURES
    from tf_bdecay.sharpness import connectivity

    if replicas == 1:
        strategy = tf.distribute.get_strategy()
    else:
        strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    with strategy.scope():
        model, ghosts = convolutional(), ghost()
    data = examples_for(model)
    report = {}
    for name in names:
        result = MEASURES[name](model, LOSS, data, examples_at_once=6)
        report[name] = [*result.shares.tolist(), result.standard_error, result.loss]
    whole = connectivity(ghosts, LOSS, data, per_example=False, training=True)
    report["C_m of training"] = whole.shares.tolist()
    return report


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
