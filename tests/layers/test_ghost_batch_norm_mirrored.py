"""Two replicas on two logical CPUs, in a process of its own: the devices are made at its start."""

import json
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import json, sys
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from tf_bdecay.layers import GhostBatchNormalization, fused

fused.WORTH_AN_OP = 0  # small as they are: the kernel that is a loop of its own
mirrored = sys.argv[1] == "mirrored"
strategy = (tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]) if mirrored
            else tf.distribute.get_strategy())
rng = np.random.default_rng(0)
x = rng.normal(2.0, 3.0, (48, 4, 4, 3)).astype("float32") + np.arange(48)[:, None, None, None]
y = rng.normal(size=(48, 2)).astype("float32")
with strategy.scope():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((4, 4, 3)),
        keras.layers.Conv2D(5, 3, use_bias=False),
        GhostBatchNormalization(4, momentum=0.5),
        keras.layers.Activation("tanh"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2),
    ])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
start = [w.tolist() for w in model.get_weights()]
model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
copies = [[c.numpy().tolist() for c in strategy.experimental_local_results(v.value)]
          for v in model.variables if "moving" in v.path]
json.dump(dict(start=start, end=[w.tolist() for w in model.get_weights()], copies=copies,
               replicas=strategy.num_replicas_in_sync), open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirrored")
    results = {}
    for kind in ("single", "mirrored"):
        path = folder / f"{kind}.json"
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, kind, str(path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        results[kind] = json.loads(path.read_text())
    return results


def test_two_replicas_are_one_device_with_the_same_global_batch(runs):
    """8 of a batch of 16 to each replica: the same ghost batches of 4, statistics averaged."""
    assert (runs["single"]["replicas"], runs["mirrored"]["replicas"]) == (1, 2)
    columns = (runs["single"]["start"], runs["single"]["end"], runs["mirrored"]["end"])
    for start, single, mirrored in zip(*columns, strict=True):
        change = np.subtract(single, start)
        assert np.abs(change).max() > 1e-3
        np.testing.assert_allclose(np.subtract(mirrored, start), change, rtol=1e-3, atol=1e-5)


def test_copies_of_the_moving_statistics_stay_equal(runs):
    for first, second in runs["mirrored"]["copies"]:
        assert first == second
