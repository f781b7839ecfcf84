"""A program of its own, because a process can have only one MirroredStrategy.

Trains with and without two replicas on the same global batches, and prints what differs, as JSON.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import tf_bdecay
from tf_bdecay import decay

BATCH, UPDATES, THRESHOLD = 32, 12, 0.03
WRAPPERS = {"ours": tf_bdecay.LossScaleOptimizer, "keras": keras.optimizers.LossScaleOptimizer}


def network():
    """Smooth, so that rounding is not amplified; a layer norm needs no batch."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((12,))
    x = inputs
    for _ in range(3):
        x = layers.Dense(24, use_bias=False)(x)
        x = layers.LayerNormalization()(x)
        x = keras.ops.tanh(x)
    return keras.Model(inputs, layers.Dense(4)(x))


def batches():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(UPDATES * BATCH, 12)).astype("float32")
    y = np.argmax(x[:, :4] + 0.5 * rng.normal(size=(len(x), 4)), -1)
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH, drop_remainder=True)


class Recorder(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.decisions, self.ratios, self.losses = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        optimizer = self.model.optimizer
        decision = getattr(optimizer, "inner_optimizer", optimizer).decision()
        self.decisions.append(decision.decay_on.tolist())
        self.ratios.append(decision.bias_ratio.tolist())
        self.losses.append(logs["loss"])


def copies(variable):
    return [np.array(c) for c in variable.value.values] if hasattr(variable.value, "values") else []


def train(strategy, poison, wrapped, **options):
    with strategy.scope():
        model = network()
        optimizer = tf_bdecay.Lamb(0.01, decay.AdaptiveBetaDecay(threshold=THRESHOLD), **options)
        if wrapped:
            optimizer = WRAPPERS[wrapped](optimizer, initial_scale=8.0)
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    tf_bdecay.describe(model)  # as README does: it must not build the optimizer out of its scope
    start = [w.numpy() for w in model.trainable_variables]
    data = batches()
    if poison:  # a NaN among the second half of every fourth batch: on replica 1 alone

        def spoil(i, batch):
            x, y = batch
            bad = tf.where((i % 4 == 3) & (tf.range(BATCH) == BATCH - 1), np.nan, 0.0)
            return x + bad[:, None], y

        data = data.enumerate().map(spoil)
    recorder = Recorder()
    model.fit(data, verbose=0, callbacks=[recorder])
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    change = [w.numpy() - s for w, s in zip(model.trainable_variables, start, strict=True)]
    apart = 0
    for variable in [*model.variables, *model.optimizer.variables]:
        for copy in copies(variable)[1:]:
            apart += not np.array_equal(copy, copies(variable)[0], equal_nan=True)
    return {"change": change, "recorder": recorder, "apart": apart, "totals": inner.totals()}


def built_outside():
    """The sentence that `fit` gives for an optimizer built out of the strategy's scope."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = network()
        optimizer = tf_bdecay.Lamb(0.01, compile_update=False)
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer.build(model)
    try:
        model.fit(batches(), verbose=0)
    except ValueError as error:
        return {"error": str(error)}
    return {"error": ""}


def main(poison, wrapped, clip, compile_update, outside):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    if outside:
        return built_outside()
    options = {"global_clipnorm": clip or None, "compile_update": compile_update}
    one = train(tf.distribute.get_strategy(), poison, wrapped, **options)
    two = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), poison, wrapped, **options)
    ratios = np.array(one["recorder"].ratios)
    return {
        "change": max(
            float(np.linalg.norm(a - b) / np.linalg.norm(a))
            for a, b in zip(one["change"], two["change"], strict=True)
        ),
        "decisions_equal": one["recorder"].decisions == two["recorder"].decisions,
        "seen": sorted({str(on) for row in one["recorder"].decisions for on in row}),
        "margin": float(np.abs(ratios / THRESHOLD - 1).min()),
        "losses": float(
            np.nanmax(np.abs(np.array(one["recorder"].losses) - two["recorder"].losses))
        ),
        "apart": two["apart"],
        "skipped": [one["totals"]["skipped_updates"], two["totals"]["skipped_updates"]],
        "finite": all(np.isfinite(c).all() for c in two["change"]),
    }


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
