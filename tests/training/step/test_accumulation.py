"""Micro-batches beside the whole batch: updates, statistics and decisions are the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_bdecay
from tests.training import small
from tf_bdecay import decay
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization

BATCH, UPDATES, THRESHOLD = 64, 20, 0.02


def trained(micro_batch_size, dtype="float32", optimizer=None, run_eagerly=False, static=True):
    """Weights, optimizer state, decisions and losses after some updates at a constant rate."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    policy = decay.AdaptiveBetaDecay(threshold=THRESHOLD)
    trainer = small.trainer(
        optimizer or tf_bdecay.Lamb(0.01, policy),
        micro_batch_size=micro_batch_size,
        run_eagerly=run_eagerly,
    )
    start = small.values(trainer.trainable_variables)
    x, y = small.digits(4 * BATCH)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH, drop_remainder=static).repeat()
    decisions = []

    class Decisions(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            decision = self.model.optimizer.decision()
            decisions.append((decision.bias_ratio, decision.decay_on))

    history = trainer.fit(
        data, steps_per_epoch=4, epochs=UPDATES // 4, callbacks=[Decisions()], verbose=0
    )
    return {
        "changes": [
            a - b for a, b in zip(small.values(trainer.trainable_variables), start, strict=True)
        ],
        "statistics": small.values(trainer.non_trainable_variables),
        "moments": small.values(trainer.optimizer.variables),
        "ratios": np.array([r for r, _ in decisions]),
        "on": np.array([on for _, on in decisions]),
        "loss": history.history["loss"],
        "accuracy": history.history["accuracy"],
    }


def assert_equal(a, b, tolerance):
    assert (a["on"] == b["on"]).all()
    assert 0 < a["on"].mean() < 1  # decay was seen on and off
    assert np.abs(a["ratios"] / THRESHOLD - 1).min() > 1e-3  # and no decision was a close call
    for u, v in zip(a["changes"], b["changes"], strict=True):
        assert np.linalg.norm(u - v) <= tolerance * np.linalg.norm(u)
    for name in ("statistics", "loss", "accuracy"):
        for u, v in zip(a[name], b[name], strict=True):
            np.testing.assert_allclose(v, u, rtol=tolerance, atol=tolerance)
    for u, v in zip(a["moments"], b["moments"], strict=True):
        np.testing.assert_allclose(v, u, rtol=10 * tolerance, atol=10 * tolerance)


def test_micro_batches_give_the_update_of_the_whole_batch():
    """Weights, moments, moving statistics, decisions, loss and metrics."""
    whole = trained(None)
    for micro_batch_size in (32, 16):
        assert_equal(whole, trained(micro_batch_size), 1e-4)


def test_in_double_precision_to_rounding():
    assert_equal(trained(None, "float64"), trained(16, "float64"), 1e-9)


@pytest.mark.slow
def test_batches_of_unknown_length_and_eager_steps():
    whole = trained(None)
    assert_equal(whole, trained(16, static=False), 1e-4)


def test_a_batch_that_does_not_divide_is_named():
    x, y = small.digits(80)
    trainer = small.trainer(micro_batch_size=32)
    with pytest.raises(
        BadInput,
        match="micro_batch_size=32 .* such as 64 or 96, or micro_batch_size=20 or 40. .* 80$",
    ):
        trainer.train_step((tf.constant(x), tf.constant(y)))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(80)
    with pytest.raises(
        BadInput, match="^micro_batch_size=32 must divide .* multiple of 32. .* 80$"
    ):
        trainer.fit(data, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("micro, name", [(16, "micro_batch_size"), (None, "ghost_batch_size")])
def test_a_last_batch_that_does_not_divide_is_named_under_xla_too(micro, name):
    x, y = small.digits(72)
    trainer = small.trainer(micro_batch_size=micro)
    trainer.jit_compile = True
    with pytest.raises(BadInput, match=f"^{name}=16 must divide .* multiple of 16.* = 8$"):
        trainer.fit(x, y, batch_size=64, shuffle=False, verbose=0)
    assert int(trainer.optimizer.iterations) == 1  # the batch before it was sound


@pytest.mark.parametrize(
    "size, sentence",
    [
        (0, "`micro_batch_size` must be a whole number >= 1"),
        (True, "`micro_batch_size` must be a whole number >= 1"),
        (24, "norm_1.ghost_batch_size=16 must divide micro_batch_size: .* 16 or 32"),
    ],
)
def test_sizes_that_cannot_be(size, sentence):
    with pytest.raises(BadInput, match=sentence):
        small.trainer(micro_batch_size=size)


def trainer_of(model):
    trainer = tf_bdecay.Trainer.of(model)
    trainer.compile(tf_bdecay.Lamb(0.01), "mse", micro_batch_size=16, jit_compile=False)
    return trainer


def test_batch_normalization_is_refused():
    inputs = keras.Input((3,))
    normalized = keras.layers.BatchNormalization(name="norm")(inputs)
    with pytest.raises(BadInput, match="'norm' normalizes by the statistics of its whole batch"):
        trainer_of(keras.Model(inputs, normalized))


def weights_after(make, micro_batch_size, epochs=3):
    """All weights of `make(inputs)`'s model after some updates."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    trainer = tf_bdecay.Trainer.of(keras.Model(inputs, make(inputs)))
    trainer.compile(
        keras.optimizers.SGD(0.1), "mse", micro_batch_size=micro_batch_size, jit_compile=False
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 3)), rng.normal(size=(64, 3))
    history = trainer.fit(x, y, batch_size=32, shuffle=False, epochs=epochs, verbose=0)
    return [*small.values(trainer.weights), np.array(history.history["loss"])]


def assert_same_weights(make):
    whole, cut = (weights_after(make, size) for size in (None, 8))
    assert len(whole) > 1
    for a, b in zip(whole, cut, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)
    return whole


def test_a_layer_that_is_called_twice_moves_its_statistics_twice():
    def make(inputs):
        layer = GhostBatchNormalization(4, momentum=0.5, center=False, name="twice")
        return layer(keras.layers.Dense(3)(layer(inputs)))

    assert_same_weights(make)


def test_regularizers_and_losses_of_layers_count():
    class Penalty(keras.layers.Layer):
        def call(self, x):
            self.add_loss(keras.ops.mean(x**2))
            return x

    def make(penalised):
        def made(inputs):
            regularizer = keras.regularizers.L2(0.5) if penalised else None
            x = keras.layers.Dense(3, kernel_regularizer=regularizer)(inputs)
            return Penalty()(x) if penalised else x

        return made

    with_penalties = assert_same_weights(make(True))
    plain = weights_after(make(False), None)
    assert with_penalties[-1][0] > plain[-1][0] + 0.1


class Counter(keras.layers.Layer):
    """Counts its calls in a variable that is a weight of the model, or is not."""

    def __init__(self, own=True, dtype="float32"):
        super().__init__()
        variable = keras.Variable(0, dtype=dtype, trainable=False, name="calls")
        self.calls = variable if own else (lambda: variable)

    def call(self, x):
        calls = self.calls() if callable(self.calls) else self.calls
        calls.assign(calls + 1)
        return x


def test_a_layer_counts_a_call_an_update_whatever_the_micro_batches():
    assert_same_weights(lambda x: keras.layers.Dense(3)(Counter()(x)))
    assert_same_weights(lambda x: keras.layers.Dense(3)(Counter(dtype="int32")(x)))
    found = weights_after(lambda x: keras.layers.Dense(3)(Counter()(x)), 8, epochs=1)
    assert [a for a in found if a.shape == ()] == [2]  # updates


def test_state_that_is_not_the_models_is_refused():
    with pytest.raises(BadInput, match="assigns '.*calls', which micro-batches and .* cannot"):
        weights_after(lambda x: keras.layers.Dense(3)(Counter(own=False)(x)), 8)


def test_several_outputs_and_weights_of_examples():
    def weights(micro_batch_size):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        model = keras.Model(inputs, {n: keras.layers.Dense(2, name=n)(inputs) for n in "ab"})
        trainer = tf_bdecay.Trainer.of(model)
        trainer.compile(keras.optimizers.SGD(0.1), "mse", micro_batch_size=micro_batch_size)
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(32, 3)), {n: rng.normal(size=(32, 2)) for n in "ab"}
        trainer.fit(x, y, batch_size=32, sample_weight=rng.uniform(size=32), verbose=0)
        return np.concatenate([v.numpy().reshape(-1) for v in trainer.trainable_variables])

    np.testing.assert_allclose(weights(8), weights(None), rtol=1e-5)


def test_the_size_is_saved_with_the_model(tmp_path):
    trainer = small.trainer(micro_batch_size=32)
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras")
    assert loaded.micro_batch_size == 32


def test_a_trainer_of_any_kind_of_model():
    x, y = np.ones((8, 3)), np.ones((8, 2))
    sequential = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    subclassed = Subclassed()
    subclassed(x)
    with pytest.raises(BadInput, match="made of a functional or sequential model that is built"):
        tf_bdecay.Trainer.of(subclassed)
    with pytest.raises(BadInput, match="made of a functional or sequential model that is built"):
        tf_bdecay.Trainer.of(keras.Sequential([keras.layers.Dense(2)]))
    inputs = keras.Input((3,))
    for trainer in (
        tf_bdecay.Trainer.of(sequential),
        tf_bdecay.Trainer(inputs, subclassed(inputs)),
    ):
        trainer.compile(keras.optimizers.SGD(0.1), "mse", micro_batch_size=4)
        assert np.isfinite(trainer.fit(x, y, batch_size=8, verbose=0).history["loss"][0])
    before = sequential(x).numpy()
    assert np.abs(before - tf_bdecay.Trainer.of(sequential)(x).numpy()).max() == 0


def test_a_graph_whose_outputs_keras_takes_for_a_batch_of_one():
    """As it does where something of one example, such as positions, is added to a batch."""
    x = np.random.default_rng(0).normal(size=(16, 4, 3)).astype("float32")
    y = np.arange(16) % 2
    found = []
    for size in (None, 4):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4, 3))
        positions = keras.layers.Embedding(4, 3)(keras.ops.arange(4)[None])
        added = keras.layers.add([inputs, positions])
        outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(added))
        assert outputs.shape == (1, 2)
        trainer = tf_bdecay.Trainer(inputs, outputs)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer = tf_bdecay.Lamb(0.1, decay.NoBiasDecay())
        trainer.compile(optimizer, loss, micro_batch_size=size, metrics=["accuracy"])
        trainer.fit(x, y, batch_size=16, epochs=2, verbose=0)
        found.append(trainer.get_weights())
    for whole, parts in zip(*found, strict=True):
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-6)
