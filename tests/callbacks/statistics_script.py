"""A program that compares precise statistics on two replicas with those on one device."""

import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from tests.training.small import digits, network
from tf_bdecay.callbacks import precise_statistics


def main():
    """Prints the comparison as JSON."""
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    x, _ = digits()
    keras.utils.set_random_seed(0)
    one = network()
    with strategy.scope():
        two = network()
    two.set_weights(one.get_weights())
    expected, found = (precise_statistics(model, x, batch_size=64) for model in (one, two))

    def copies():
        local = strategy.experimental_local_results
        return [[c.numpy().tobytes() for c in local(v.value)] for v in two.weights]

    before = copies()
    with found:
        equal = all(len(set(values)) == 1 for values in copies())
        changed = copies() != before
    report = {
        "difference": max(
            float(np.abs(a - b).max())
            for (_, a), (_, b) in zip(expected.values, found.values, strict=True)
        ),
        "equal": equal,
        "restored": changed and copies() == before,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
