"""Trains in one of the ways of devices.py, for some updates or epochs; its argument is JSON."""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import tensorflow as tf

import tf_bdecay
from tf_bdecay import data, decay, schedules
from tf_bdecay.distribution import cluster, sharding, strategies, workers
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.training.building.losses import SmoothedCrossentropy


def network(images):
    """Four convolutions, each with ghost batch normalization and tanh."""
    inputs = x = keras.Input(images.image_shape)
    for i, (channels, strides) in enumerate([(16, 1), (32, 2), (32, 1), (64, 2)]):
        x = keras.layers.Conv2D(channels, 3, strides, padding="same", use_bias=False)(x)
        x = GhostBatchNormalization(32, momentum=0.9, name=f"norm{i}")(x)
        x = keras.layers.Activation("tanh")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(images.num_classes)(x))


class Recorder(keras.callbacks.Callback):
    """Records the decisions and the loss of every update."""

    def __init__(self):
        super().__init__()
        self.ratios, self.on, self.losses = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        decision = self.model.optimizer.decision()
        self.ratios.append(decision.bias_ratio)
        self.on.append(decision.decay_on)
        self.losses.append(logs["loss"])


def train(
    strategy,
    devices,
    micro_batch_size,
    seed,
    epochs,
    updates,
    rate,
    threshold,
    batch_size,
    name,
    data_dir,
    out,
):
    """Trains and saves the results; with 0 epochs, for `updates` updates at a constant rate."""
    made = strategies.make(strategy, logical_devices=devices if strategy == "mirrored" else 0)
    images = data.load(name, data_dir=data_dir)
    per_epoch = data.updates_per_epoch(len(images.train), batch_size, "drop")
    keras.utils.set_random_seed(seed)
    if epochs:
        rate = schedules.PolynomialWarmupDecay(0.03, epochs * per_epoch)
    with strategies.scope(made):
        trainer = tf_bdecay.Trainer.of(network(images))
        policy = decay.AdaptiveBetaDecay(threshold=threshold)
        trainer.compile(
            tf_bdecay.Lamb(rate, policy),
            SmoothedCrossentropy(),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            micro_batch_size=micro_batch_size,
        )
        trainer.optimizer.build(trainer)
    start = [v.numpy() for v in trainer.trainable_variables]
    batches = data.training_batches(images, batch_size, seed)
    recorder = Recorder()
    trainer.fit(
        batches,
        steps_per_epoch=per_epoch if epochs else updates,
        epochs=epochs or 1,
        callbacks=[recorder],
        shuffle=False,
        verbose=0,
    )
    found = {
        f"change/{i:03d}": v.numpy() - s
        for i, (v, s) in enumerate(zip(trainer.trainable_variables, start, strict=True))
    }
    if epochs:
        tests = data.evaluation_batches(images, "test", 1000 if name != "digits" else 358)
        found["accuracy"] = trainer.evaluate(tests, verbose=0, return_dict=True)["accuracy"]
    if sharding.is_leader(made):
        np.savez(
            out,
            ratios=recorder.ratios,
            on=recorder.on,
            losses=recorder.losses,
            copies=_copies_equal(trainer, made),
            **found,
        )


def _copies_equal(trainer, strategy):
    """Whether the copies of all variables on this machine are the same, bit for bit."""
    if strategy is None:
        return True
    return all(
        len({copy.numpy().tobytes() for copy in strategy.experimental_local_results(v.value)}) == 1
        for v in [*trainer.variables, *trainer.optimizer.variables]
        if isinstance(v.value, tf.distribute.DistributedValues)
    )


def main(settings):
    """Waits for the other workers, if there are any, and trains; returns the exit code."""
    shared = settings["strategy"] == "multi_worker"
    try:
        of = cluster.from_environment(os.environ[cluster.VARIABLE]) if shared else None
        if of:
            workers.rendezvous(of, of.bind(), {}, 120)
        with workers.peer_errors(of):
            train(**settings)
    except BadInput as error:
        print(f"devices.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    code = main(arguments)
    if arguments["strategy"] == "multi_worker":
        workers.end(code)
    sys.exit(code)
