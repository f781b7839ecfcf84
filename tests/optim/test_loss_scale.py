"""Dynamic loss scaling: the inner optimizer skips and counts an overflow, and the scale halves."""

import keras
import numpy as np
import pytest

import tf_bdecay
from tf_bdecay import decay
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def network():
    keras.utils.set_random_seed(1)
    inputs = x = keras.Input((6,))
    x = keras.layers.Dense(8, use_bias=False)(x)
    x = keras.layers.LayerNormalization()(x)
    return keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(keras.ops.tanh(x)))


def data(n=64):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 6)).astype("float32"), rng.integers(0, 3, n)


def fitted(optimizer, x=None, epochs=2):
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False)
    given, y = data()
    model.fit(given if x is None else x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0)
    return model


def lamb(**arguments):
    return tf_bdecay.Lamb(0.01, decay.AdaptiveBetaDecay(threshold=0.05), **arguments)


def scaled(**arguments):
    return tf_bdecay.LossScaleOptimizer(lamb(), **arguments)


@pytest.mark.slow_elsewhere
def test_scaling_alone_changes_nothing():
    """A power of two cancels exactly: weights, moments and decisions to the last bit."""
    plain, wrapped = fitted(lamb()), fitted(scaled(initial_scale=2.0**10))
    for a, b in zip(plain.get_weights(), wrapped.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    a, b = plain.optimizer.decision(), wrapped.optimizer.inner_optimizer.decision()
    np.testing.assert_array_equal(a.sensitivity, b.sensitivity)
    assert float(wrapped.optimizer.dynamic_scale.numpy()) == 2.0**10


def test_the_scale_grows_after_steps_without_overflow():
    model = fitted(scaled(initial_scale=4.0, dynamic_growth_steps=3))  # 8 updates
    assert float(model.optimizer.dynamic_scale.numpy()) == 16.0
    assert int(model.optimizer.step_counter.numpy()) == 2


def test_what_overflows_is_skipped_counted_and_halves_the_scale():
    x, _ = data()
    x[20] = np.nan  # in the second batch of four
    model = fitted(scaled(initial_scale=4.0), x)
    totals = model.optimizer.inner_optimizer.totals()
    assert (totals["updates"], totals["skipped_updates"]) == (6, 2)
    assert float(model.optimizer.dynamic_scale.numpy()) == 1.0
    assert int(model.optimizer.step_counter.numpy()) == 2
    assert all(np.isfinite(w).all() for w in model.get_weights())
    kept = [i for i in range(64) if i // 16 != 1]
    expected = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected.compile(lamb(), loss, jit_compile=False)
    expected.fit(x[kept], data()[1][kept], batch_size=16, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.slow_elsewhere
def test_a_scale_that_is_too_large_comes_down_by_itself():
    keras.config.set_dtype_policy("mixed_float16")
    model = fitted(scaled(initial_scale=2.0**40), epochs=12)
    assert isinstance(model.optimizer, tf_bdecay.LossScaleOptimizer)  # Keras wraps no second
    totals = model.optimizer.inner_optimizer.totals()
    assert 10 < totals["skipped_updates"] < 40
    assert totals["updates"] + totals["skipped_updates"] == 48
    scale = float(model.optimizer.dynamic_scale.numpy())
    assert scale == 2.0 ** (40 - totals["skipped_updates"])


def test_it_comes_back_from_its_config_and_its_file(tmp_path):
    model = fitted(scaled(initial_scale=4.0, dynamic_growth_steps=3))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, tf_bdecay.LossScaleOptimizer)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert float(loaded.optimizer.dynamic_scale.numpy()) == 16.0
    assert loaded.optimizer.inner_optimizer.totals()["updates"] == 8


def test_one_config_makes_several():
    config = keras.optimizers.serialize(scaled(initial_scale=4.0))
    first, second = (keras.optimizers.get(config) for _ in "ab")
    assert first.get_config() == second.get_config()
    assert first.inner_optimizer is not second.inner_optimizer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("initial_scale", 0),
        ("initial_scale", "1"),
        ("initial_scale", float("inf")),
        ("dynamic_growth_steps", 0),
        ("dynamic_growth_steps", 2.5),
    ],
)
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(BadInput, match=f"`{name}` of LossScaleOptimizer must be"):
        scaled(**{name: value})


@pytest.mark.parametrize(
    "inner, received",
    [
        (lambda: keras.optimizers.Adam(), "inner_optimizer=Adam$"),
        (lambda: lamb(skip_nonfinite=False), "inner_optimizer=Lamb with skip_nonfinite=False"),
    ],
)
def test_what_does_not_skip_is_refused(inner, received):
    with pytest.raises(BadInput, match=f"needs an optimizer of tf_bdecay .*{received}"):
        tf_bdecay.LossScaleOptimizer(inner())
