"""A program that compares the noise meter on two replicas with NumPy, and prints JSON."""

import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

import tf_bdecay
from tests.training.step import test_noise_meter as one
from tf_bdecay.errors import BadInput

REPLICAS = 2


def measured(strategy, micro_batch_size):
    """The means that a fit leaves, NumPy's, and the meter."""
    with strategy.scope():
        optimizer = tf_bdecay.SGD(0.0, compile_update=False, gradient_norms=True)
        made = one.trainer(optimizer, micro_batch_size)
    x, y = one.data()
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(one.BATCH, drop_remainder=True)
    made.measure_gradient_noise(100)
    made.fit(batches, verbose=0)
    part = micro_batch_size or one.BATCH // REPLICAS
    sizes = [part] * (one.BATCH // part)
    found = [one.expected(one.gradients(made, *b), sizes) for b in one.batches(x, y)]
    return one.means(made), np.mean(found, axis=0).tolist(), made.noise_meter


def main():
    """Prints the comparison."""
    devices = [tf.config.LogicalDeviceConfiguration()] * REPLICAS
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    report = {}
    for name, size in (("micro-batches", one.MICRO), ("replicas", None)):
        report[name], report[f"numpy, {name}"], meter = measured(strategy, size)
    state = meter.state()
    report["counts"] = {n: state[n] for n in ("measured", "left_out", "batch", "parts")}
    copies = [strategy.experimental_local_results(v) for v in meter._state]
    report["copies equal"] = all(len({c.numpy().item() for c in own}) == 1 for own in copies)
    with strategy.scope():
        made = one.trainer(tf_bdecay.SGD(0.0))
    try:
        made.measure_gradient_noise(100)
    except BadInput as error:
        report["refused"] = str(error)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
