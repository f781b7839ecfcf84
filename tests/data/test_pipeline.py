"""Streams in stock `fit` and under a strategy, and the arguments that they refuse."""

import keras
import numpy as np
import pytest

from tests.data import sets
from tests.processes import ended
from tf_bdecay.data import evaluation_batches, training_batches, updates_per_epoch
from tf_bdecay.data.pipeline import chosen_examples
from tf_bdecay.errors import BadInput

IMAGES = sets.image_set_of(10)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"batch_size": 11}, "at most the number of examples, 10"),
        ({"remainder": "kept"}, "did you mean 'keep'"),
        ({"start_update": -1}, "start_update=-1"),
        ({"start_update": 1.0}, "start_update=1.0"),
        ({"seed": -3}, "seed=-3"),
        ({"augment": "no"}, "`augment` must be True or False. Received: augment='no'"),
    ],
)
def test_training_arguments_that_are_not_right_are_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        training_batches(IMAGES, **{"batch_size": 5, "seed": 0, **arguments})


@pytest.mark.parametrize(
    ("split_name", "batch_size", "sentence"),
    [
        ("tset", 5, "did you mean 'test'"),
        ("validation", 5, "without a validation split"),
        ("test", 0, "batch_size=0"),
    ],
)
def test_evaluation_arguments_that_are_not_right_are_refused(split_name, batch_size, sentence):
    with pytest.raises(BadInput, match=sentence):
        evaluation_batches(IMAGES, split_name, batch_size)


def test_chosen_examples_are_those_of_an_evaluation():
    ((images, labels),) = evaluation_batches(IMAGES, "train", 10)
    x, y = chosen_examples(IMAGES, "train", [7, 2])
    np.testing.assert_array_equal(x, images.numpy()[[7, 2]])
    np.testing.assert_array_equal(y, labels.numpy()[[7, 2]])


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.batches = []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)


@pytest.mark.parametrize("remainder", ["drop", "keep"])
def test_fit_does_the_updates_of_each_epoch_and_no_more(remainder):
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(17)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = training_batches(IMAGES, 4, 0, remainder=remainder)
    per_epoch = updates_per_epoch(10, 4, remainder)
    recorder = Recorder()
    fit = {"epochs": 3, "steps_per_epoch": per_epoch, "callbacks": [recorder], "verbose": 0}
    model.fit(batches, validation_data=evaluation_batches(IMAGES, "test", 3), **fit)
    assert recorder.batches == [*range(per_epoch)] * 3
    assert int(model.optimizer.iterations) == 3 * per_epoch


MIRRORED = """
import itertools
import numpy as np
import tensorflow as tf
from tests.data import sets
from tf_bdecay.data import evaluation_batches, training_batches

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
images = sets.image_set_of(10)
streams = {
    "drop": lambda: training_batches(images, 4, 0, start_update=3),
    "keep": lambda: training_batches(images, 4, 0, remainder="keep"),
    "test": lambda: evaluation_batches(images, "test", 4),
}
for name, make in streams.items():
    parts = strategy.experimental_distribute_dataset(make())
    for whole, cut in itertools.islice(zip(make(), parts, strict=True), 7):
        for tensor, replicas in zip(whole, cut, strict=True):
            pieces = strategy.experimental_local_results(replicas)
            assert name != "drop" or [len(p) for p in pieces] == [2, 2], (name, pieces)
            np.testing.assert_array_equal(np.concatenate(pieces), tensor, name)
print("equal")
"""


def test_a_strategy_cuts_global_batches_into_replicas():
    """In a process of its own: the number of devices is fixed when TensorFlow starts."""
    done = ended(["-c", MIRRORED], timeout=300)
    assert done.stdout.strip().endswith("equal"), done.stderr
