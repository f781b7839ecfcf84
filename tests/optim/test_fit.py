"""Lamb in a user's `compile` and `fit`: pairs are found, and training continues after loading."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import tf_bdecay
from tf_bdecay import decay
from tf_bdecay.frameworks import keras_private


def transformer():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(11, 8)(tokens)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.add([x, layers.MultiHeadAttention(2, 4)(y, y)])
        y = layers.LayerNormalization()(x)
        x = layers.add([x, layers.Dense(8)(layers.Dense(16, activation="gelu")(y))])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    examples = np.random.default_rng(0).integers(0, 11, (64, 6))
    return keras.Model(tokens, layers.Dense(3)(x)), examples


def sequential():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(6, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("gelu"),
            layers.Conv2D(6, 3, use_bias=False),
            layers.GroupNormalization(2),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(3),
        ]
    )
    return model, np.random.default_rng(0).normal(size=(64, 8, 8, 1)).astype("float32")


@keras.saving.register_keras_serializable("tests")
class EqualNames(keras.Model):
    """Layers of equal names: equal variable paths."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = [layers.Dense(6, use_bias=False, name="dense") for _ in range(3)]
        self.norm = [layers.LayerNormalization(name="norm") for _ in range(3)]
        self.head = layers.Dense(3)

    def build(self, shape):
        for dense, norm in zip(self.dense, self.norm, strict=True):
            dense.build(shape)
            shape = dense.compute_output_shape(shape)
            norm.build(shape)
        self.head.build(shape)
        self.built = True

    def call(self, x):
        for dense, norm in zip(self.dense, self.norm, strict=True):
            x = keras.ops.gelu(norm(dense(x)))
        return self.head(x)


def equal_names():
    model = EqualNames()
    model.build((None, 5))
    return model, np.random.default_rng(0).normal(size=(64, 5)).astype("float32")


def mobilenet():
    model = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, weights=None, classes=3, classifier_activation=None
    )
    return model, np.random.default_rng(0).normal(size=(16, 32, 32, 3)).astype("float32")


NETWORKS = [
    transformer,
    sequential,
    equal_names,
    pytest.param(mobilenet, marks=pytest.mark.slow),
]
LABELS = np.random.default_rng(1).integers(0, 3, 64)


def compile_it(model, **options):
    model.compile(
        tf_bdecay.Lamb(0.01, **options),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def fit(model, x, epochs=1):
    y = LABELS[: len(x)]
    return model.fit(x, y, batch_size=len(x) // 2, epochs=epochs, shuffle=False, verbose=0)


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.quick_rows(1)
def test_every_gamma_and_beta_is_found_by_fit(make):
    model, x = make()
    expected = sum(
        getattr(layer, "gamma", None) is not None and getattr(layer, "beta", None) is not None
        for layer in keras_private.layers_of(model)
    )
    compile_it(model)
    fit(model, x)
    decision = model.optimizer.decision()
    assert len(decision.layers) == len(set(decision.layers)) == expected
    assert np.isfinite(decision.sensitivity).all()
    c = dict(zip(decision.labels, decision.sensitivity, strict=True))
    for pair, r in zip(model.optimizer.roles.pairs, decision.bias_ratio, strict=True):
        gamma, beta = decision.labels[pair.gamma], decision.labels[pair.beta]
        if c[gamma] > 0:
            assert r == pytest.approx(c[beta] / c[gamma], rel=1e-5)


@pytest.mark.parametrize("make", [transformer, sequential, equal_names])
@pytest.mark.quick_rows(1)
def test_saved_loaded_and_gone_on_is_not_stopping(make, tmp_path):
    model, x = make()
    compile_it(model, compile_update=False, weight_decay=decay.AdaptiveBetaDecay(threshold=0.05))
    fit(model, x, epochs=2)
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.models.load_model(path)
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for a, b in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for m in (model, again):
        for layer in keras_private.layers_of(m):
            if isinstance(layer, layers.Dropout):  # Keras' saving leaves its state out
                layer.rate = 0.0
        m.make_train_function(force=True)
        fit(m, x, epochs=2)
    for a, b in zip(model.variables, again.variables, strict=True):
        if "seed" not in a.path:
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    np.testing.assert_array_equal(
        model.optimizer.decision().bias_ratio, again.optimizer.decision().bias_ratio
    )
    assert model.optimizer.totals()["updates"] == again.optimizer.totals()["updates"] == 8


@keras.saving.register_keras_serializable("tests")
class AboveMedian(decay.DecayPolicy):
    """That of docs/how_to/policy.md, with an argument."""

    adaptive = True

    def __init__(self, beta=1.0):
        self.beta = beta

    def coefficient(self, variable):
        return {"kernel": 0.01, "beta": self.beta}.get(variable.role, 0.0)

    def decide(self, ratio):
        return ratio > keras.ops.median(ratio)

    def get_config(self):
        return {"beta": self.beta}


def test_a_policy_of_ones_own_is_saved_and_loaded_with_the_model(tmp_path):
    model, x = equal_names()
    compile_it(model, compile_update=False, weight_decay=AboveMedian(beta=0.7))
    fit(model, x)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    loaded = again.optimizer.weight_decay
    assert type(loaded) is AboveMedian and loaded.get_config() == {"beta": 0.7}
    for one in (model, again):
        one.train_on_batch(x, LABELS)
    assert sorted(again.optimizer.decision().decay_on) == [False, False, True]
    for a, b in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.quick_rows(1)
def test_the_compiled_update_is_the_plain_one(jit_compile):
    results = []
    for compile_update in (False, True):
        keras.utils.set_random_seed(3)
        model, _ = sequential()
        x = np.random.default_rng(5).normal(size=(64, 8, 8, 1)).astype("float32")
        compile_it(model, compile_update=compile_update)
        model.jit_compile = jit_compile
        fit(model, x, epochs=3)
        results.append(model)
    for a, b in zip(results[0].weights, results[1].weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
@pytest.mark.quick_rows(1)
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    model, x = sequential()
    before = [np.asarray(w.numpy(), "float32") for w in model.trainable_weights]
    compile_it(model)
    fit(model, x, epochs=4)
    scaled = policy == "mixed_float16"
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == scaled
    inner = model.optimizer.inner_optimizer if scaled else model.optimizer
    # With a scale of 2^15 the first updates may overflow; the stock wrapper then skips them.
    assert np.isfinite(inner.decision().sensitivity).all()
    assert inner.totals()["updates"] > 0
    for weight, old in zip(model.trainable_weights, before, strict=True):
        new = np.asarray(weight.numpy(), "float32")
        assert np.isfinite(new).all()
        assert not np.array_equal(new, old), weight.path


def test_inside_a_loss_scale_optimizer_the_update_sees_unscaled_gradients():
    shared = [keras.Variable(np.ones((4, 3), "float32") * 0.2, name="kernel") for _ in "ab"]
    gradient = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    plain = tf_bdecay.Lamb(0.1, decay.NoBiasDecay(), compile_update=False)
    inner = tf_bdecay.Lamb(0.1, decay.NoBiasDecay(), compile_update=False)
    scaled = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    plain.apply([keras.ops.convert_to_tensor(gradient)], [shared[0]])
    scaled.apply([keras.ops.convert_to_tensor(gradient * 1024)], [shared[1]])
    np.testing.assert_allclose(shared[0].numpy(), shared[1].numpy(), rtol=1e-6)
    before = shared[1].numpy()
    scaled.apply([keras.ops.convert_to_tensor(gradient * np.nan)], [shared[1]])
    np.testing.assert_array_equal(shared[1].numpy(), before)
    assert int(inner.iterations.numpy()) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf_bdecay.Lamb(0.01, compile_update=False),
        lambda: tf_bdecay.LossScaleOptimizer(tf_bdecay.Lamb(0.01, compile_update=False), 8.0),
    ],
    ids=["Lamb", "LossScaleOptimizer"],
)
def test_a_loop_of_ones_own_may_leave_building_to_the_first_update(make):
    import tensorflow as tf

    ends = []
    for decorated in (lambda step: step, tf.function):  # and AutoGraph, as it is by default
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), layers.LayerNormalization(), layers.Dense(3)])
        optimizer = make()

        def step(x, model=model, optimizer=optimizer):
            with tf.GradientTape() as tape:
                loss = optimizer.scale_loss(tf.reduce_mean(model(x) ** 2))
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)

        step = decorated(step)
        for _ in range(2):
            step(tf.constant(np.random.default_rng(0).normal(size=(8, 4)), "float32"))
        ends.append([v.numpy() for v in model.trainable_variables])
    for eager, graph in zip(*ends, strict=True):
        np.testing.assert_allclose(eager, graph, rtol=1e-6, atol=1e-7)


def test_embeddings_train_in_fit():
    model, x = transformer()
    before = model.layers[1].embeddings.numpy()
    compile_it(model)
    fit(model, x)
    assert not np.array_equal(model.layers[1].embeddings.numpy(), before)


def test_import_tf_bdecay_is_all_that_loading_a_model_needs(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, use_bias=False),
            tf_bdecay.layers.GhostBatchNormalization(8),
            layers.Dense(3),
        ]
    )
    schedule = tf_bdecay.schedules.PolynomialWarmupDecay(0.1, 10)
    model.compile(tf_bdecay.Lamb(schedule, compile_update=False), "mse")
    model.fit(np.ones((16, 4)), np.ones((16, 3)), batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    code = (
        "import keras, tf_bdecay; m = keras.models.load_model('model.keras'); "
        "print(m.optimizer.totals()['updates'], m.optimizer.weight_decay)"
    )
    root = pathlib.Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.stdout.split(" ", 1)[0] == "1", done.stderr[-2000:]
    assert repr(model.optimizer.weight_decay) in done.stdout


@pytest.mark.parametrize("how", [{"run_eagerly": True}, {"steps_per_execution": 4}], ids=str)
@pytest.mark.quick_rows(1)
def test_however_fit_calls_the_step_the_weights_are_the_same(how):
    results = []
    for options in ({}, how):
        keras.utils.set_random_seed(2)
        model, x = equal_names()
        model.compile(
            tf_bdecay.Lamb(tf_bdecay.schedules.PolynomialWarmupDecay(0.05, 8)),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            **options,
        )
        x = np.random.default_rng(3).normal(size=(64, 5)).astype("float32")
        model.fit(x, LABELS, batch_size=16, epochs=2, shuffle=False, verbose=0)
        assert model.optimizer.totals()["updates"] == 8
        results.append([w.numpy() for w in model.weights])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_rate_can_be_set_between_epochs():
    model, x = equal_names()
    compile_it(model, compile_update=False)
    rates = keras.callbacks.LearningRateScheduler(lambda epoch: [0.5, 0.25][epoch])
    model.fit(x, LABELS, batch_size=64, epochs=2, verbose=0, callbacks=[rates])
    assert model.optimizer.totals()["learning_rate_sum"] == 0.75
