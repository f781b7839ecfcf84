"""Trainer and the ghost layer end as plain Keras does, which is the oracle.

A row is a small model, how it is compiled and what it is fitted to. `Trainer` by whole batches and
by micro-batches must end where `keras.Model` does: weights, what layers keep, losses and metrics.
"""

import keras
import numpy as np
import pytest
from keras import layers

import tf_bdecay
from tf_bdecay.layers import GhostBatchNormalization

BATCH, MICRO = 8, 2
RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 5)).astype("float32")
LABELS, TARGETS = RNG.integers(0, 3, 16), RNG.normal(size=(16, 2)).astype("float32")
WEIGHTS = RNG.uniform(0.1, 3, 16).astype("float32")
TOKENS = RNG.integers(1, 9, (16, 6))
for row in range(16):
    TOKENS[row, 6 - row % 5 :] = 0
WORDS = RNG.integers(0, 3, (16, 6))
IGNORING = np.where(RNG.random(16) < 0.4, -1, LABELS)
Sparse = keras.losses.SparseCategoricalCrossentropy


def dense(units=3, **arguments):
    inputs = keras.Input((5,))
    x = layers.LayerNormalization()(layers.Dense(4, activation="tanh", **arguments)(inputs))
    return keras.Model(inputs, layers.Dense(units, name="head")(x))


def two_heads(kind=dict):
    inputs = keras.Input((5,))
    x = layers.LayerNormalization()(layers.Dense(4)(inputs))
    heads = {"a": layers.Dense(3, name="a")(x), "b": layers.Dense(2, name="b")(x)}
    return keras.Model(inputs, heads if kind is dict else list(heads.values()))


def two_inputs():
    inputs = {"p": keras.Input((5,), name="p"), "q": keras.Input((2,), name="q")}
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(list(inputs.values()))))


def tagger(recurrent=None, length=6):
    inputs = keras.Input((length,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(inputs)
    return keras.Model(inputs, layers.Dense(3)(recurrent(x) if recurrent else x))


class Penalty(layers.Layer):
    def call(self, x):
        self.add_loss(keras.ops.mean(keras.ops.square(x)))
        return x


def penalized():
    inputs = keras.Input((5,))
    return keras.Model(inputs, layers.Dense(2)(Penalty()(layers.Dense(4)(inputs))))


def frozen(layer):
    def make():
        inputs = keras.Input((5,))
        x = layer(layers.Dense(4)(inputs))
        layer.trainable = False
        return keras.Model(inputs, layers.Dense(3)(x))

    return make


def part_frozen():
    model = dense()
    model.layers[1].trainable = False
    return model


def behind_a_stop():
    inputs = keras.Input((5,))
    x = layers.Lambda(keras.ops.stop_gradient, output_shape=(4,))(layers.Dense(4)(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


def classes(**arguments):
    return {"loss": Sparse(from_logits=True, **arguments), "metrics": ["accuracy"]}


ROWS = {
    "mean": (dense, classes(), {"x": X, "y": LABELS}),
    "sum": (dense, classes(reduction="sum"), {"x": X, "y": LABELS}),
    "weights": (
        dense,
        {**classes(), "weighted_metrics": ["accuracy"]},
        {"x": X, "y": LABELS, "sample_weight": WEIGHTS},
    ),
    "mean_with_sample_weight": (
        dense,
        classes(reduction="mean_with_sample_weight"),
        {"x": X, "y": LABELS, "sample_weight": WEIGHTS},
    ),
    "ignore_class": (dense, {"loss": Sparse(True, ignore_class=-1)}, {"x": X, "y": IGNORING}),
    "mask": (tagger, classes(), {"x": TOKENS, "y": WORDS}),
    "loss=None": (penalized, {}, {"x": X}),
    "a head without a loss": (
        two_heads,
        {"loss": {"a": Sparse(True)}},
        {"x": X, "y": {"a": LABELS, "b": TARGETS}},
    ),
    "different reductions": (
        lambda: two_heads(list),
        {"loss": [Sparse(True, reduction="sum"), "mse"], "loss_weights": [0.1, 2.0]},
        {"x": X, "y": [LABELS, TARGETS]},
    ),
    "frozen BatchNormalization": (
        lambda: frozen(layers.BatchNormalization())(),
        classes(),
        {"x": X, "y": LABELS},
    ),
    "averages": (dense, {**classes(), "ema": True}, {"x": X, "y": LABELS}),
}
RARE = {
    "mean absolute error by name": (lambda: dense(2), {"loss": "mae"}, {"x": X, "y": TARGETS}),
    "a function": (
        lambda: dense(2),
        {"loss": lambda y, p: keras.ops.mean(keras.ops.abs(y - p), -1)},
        {"x": X, "y": TARGETS},
    ),
    "regularizer": (
        lambda: dense(kernel_regularizer=keras.regularizers.L2(0.1)),
        classes(),
        {"x": X, "y": LABELS},
    ),
    "class_weight": (
        dense,
        {**classes(), "weighted_metrics": ["accuracy"]},
        {"x": X, "y": LABELS, "class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
    ),
    "mask, sum": (tagger, classes(reduction="sum"), {"x": TOKENS, "y": WORDS}),
    "mask, weights": (
        tagger,
        classes(),
        {"x": TOKENS, "y": WORDS, "sample_weight": np.repeat(WEIGHTS[:, None], 6, 1)},
    ),
    "mask, ignore_class": (
        lambda: tagger(length=None),
        {"loss": Sparse(True, ignore_class=1)},
        {"x": TOKENS, "y": WORDS},
    ),
    "lstm": (
        lambda: tagger(layers.LSTM(4, return_sequences=True)),
        classes(),
        {"x": TOKENS, "y": WORDS},
    ),
    "two inputs": (two_inputs, {"loss": "mse"}, {"x": {"p": X, "q": TARGETS}, "y": TARGETS}),
    "losses by the names of outputs": (
        lambda: two_heads(list),
        {"loss": {"a": Sparse(True), "b": "mse"}},
        {"x": X, "y": [LABELS, TARGETS]},
    ),
    "weights of each output": (
        lambda: two_heads(list),
        {"loss": [Sparse(True), "mse"], "weighted_metrics": [["accuracy"], ["mae"]]},
        {"x": X, "y": [LABELS, TARGETS], "sample_weight": [WEIGHTS, WEIGHTS[::-1].copy()]},
    ),
    "frozen ghost batches": (
        lambda: frozen(GhostBatchNormalization(4))(),
        classes(),
        {"x": X, "y": LABELS},
    ),
    "a frozen layer": (part_frozen, classes(), {"x": X, "y": LABELS}),
    "behind stop_gradient": (behind_a_stop, classes(), {"x": X, "y": LABELS}),
    "validation_split": (dense, classes(), {"x": X, "y": LABELS, "validation_split": 0.5}),
}
EVERY = [
    *(pytest.param(*row, id=name) for name, row in ROWS.items()),
    *(pytest.param(*row, id=name, marks=pytest.mark.slow) for name, row in RARE.items()),
]


def fitted(make, compiled, data, trainer=False, micro_batch_size=None):
    """All variables but the optimizer's own, and the history, after two updates."""
    keras.utils.set_random_seed(0)
    model = make()
    compiled = dict(compiled)
    optimizer = tf_bdecay.SGD(0.1, use_ema=compiled.pop("ema", False))
    if trainer:
        model = tf_bdecay.Trainer.of(model)
        compiled["micro_batch_size"] = micro_batch_size
    start = model.get_weights()
    model.compile(optimizer, jit_compile=False, **compiled)
    history = model.fit(**data, batch_size=BATCH, shuffle=False, verbose=0).history
    return start, model.get_weights(), history


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("make, compiled, data", EVERY)
@pytest.mark.quick_rows(2)
def test_trainer_ends_where_keras_does(make, compiled, data):
    start, expected, history = fitted(make, compiled, data)
    assert any((a != b).any() for a, b in zip(start, expected, strict=True))
    for micro_batch_size in (None, MICRO):
        _, found, ours = fitted(make, compiled, data, True, micro_batch_size)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
        assert ours.keys() == history.keys()
        for name in history:
            np.testing.assert_allclose(ours[name], history[name], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_of_keeps_the_dtype_policy_by_which_compile_scales_the_loss(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = dense()
    finally:
        keras.config.set_dtype_policy("float32")
    trainer = tf_bdecay.Trainer.of(model)
    for optimizer in ("sgd", keras.optimizers.Adam()):
        for one in (model, trainer):
            one.compile(optimizer, "mse")
        assert type(trainer.optimizer) is type(model.optimizer)
    trainer.compile(tf_bdecay.Lamb(0.01), Sparse(True), micro_batch_size=MICRO)
    scales = isinstance(trainer.optimizer, tf_bdecay.LossScaleOptimizer)
    assert scales == (policy == "mixed_float16")
    history = trainer.fit(X, LABELS, batch_size=BATCH, verbose=0).history
    assert np.isfinite(history["loss"][0])


@pytest.mark.parametrize("shape", [(5,), pytest.param((3, 4), marks=pytest.mark.slow)])
def test_one_ghost_batch_is_batch_normalization(shape):
    x = np.random.default_rng(1).normal(2, 3, (16, *shape)).astype("float32")

    def make(layer):
        def made():
            inputs = keras.Input(shape)
            x = layer(layers.Dense(4, use_bias=False)(inputs))
            return keras.Model(
                inputs, layers.Dense(3)(layers.Flatten()(layers.Activation("tanh")(x)))
            )

        return made

    data = {"x": x, "y": LABELS}
    start, expected, history = fitted(make(layers.BatchNormalization()), classes(), data)
    for trainer in (False, True):
        layer = GhostBatchNormalization(BATCH)
        _, found, ours = fitted(make(layer), classes(), data, trainer)
        for a, b, c in zip(expected, found, start, strict=True):
            assert (a != c).any()
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
        for name in history:
            np.testing.assert_allclose(ours[name], history[name], rtol=1e-4)


def test_validation_data_by_position():
    keras.utils.set_random_seed(0)
    trainer = tf_bdecay.Trainer.of(dense())
    trainer.compile("sgd", Sparse(True), micro_batch_size=MICRO, jit_compile=False)
    history = trainer.fit(X, LABELS, BATCH, 1, 0, None, 0.0, (X, LABELS)).history
    assert history["val_loss"][0] == pytest.approx(trainer.evaluate(X, LABELS, verbose=0), rel=1e-5)
