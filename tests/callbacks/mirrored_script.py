"""A program of its own, because a process can have only one MirroredStrategy.

Trains with decisions from a probe batch, with and without two replicas, and prints what differs.
"""

import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

import tf_bdecay
from tests.callbacks.test_probe import THRESHOLD, Decisions, images, loss, network
from tf_bdecay.callbacks import ProbeDecision
from tf_bdecay.sharpness import connectivity


def train(strategy):
    """Weights, decisions and sharpness after 8 updates on the same global batches."""
    keras.config.set_dtype_policy("float64")  # rounding alone must not turn a decision
    x, y = images(batches=8)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(16, drop_remainder=True)
    probe, decisions = images(seed=9), Decisions()
    policy = tf_bdecay.decay.AdaptiveBetaDecay(threshold=THRESHOLD, source="probe")
    with strategy.scope():
        model = network()
        model.compile(tf_bdecay.Lamb(0.05, weight_decay=policy), loss=loss())
    model.fit(data, callbacks=[ProbeDecision(probe, every=2), decisions], verbose=0)
    measured = [
        list(connectivity(model, loss(), probe, **mode).by_variable.values())
        for mode in ({"per_example": True}, {"per_example": False, "training": True})
    ]
    copies = [
        [r.numpy().tobytes() for r in strategy.experimental_local_results(v.value)]
        for v in model.weights
    ]
    equal = all(len(set(c)) == 1 for c in copies)
    return model.get_weights(), decisions, np.concatenate(measured), equal


def main():
    """Prints the comparison as JSON."""
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    one = train(tf.distribute.get_strategy())
    keras.backend.clear_session()
    two = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    report = {
        "weights": max(float(np.abs(a - b).max()) for a, b in zip(one[0], two[0], strict=True)),
        "decisions equal": bool(one[1].on == two[1].on),
        "ratio": float(np.abs(np.array(one[1].ratio) - np.array(two[1].ratio)).max()),
        "sharpness": float((np.abs(one[2] - two[2]) / np.abs(one[2]).max()).max()),
        "copies equal": two[3],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
