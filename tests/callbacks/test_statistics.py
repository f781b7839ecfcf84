"""Precise statistics equal NumPy's, and training is the same with and without them."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.processes import ended
from tests.training.small import digits, trainer, values
from tf_bdecay.callbacks import PreciseStatistics, precise_statistics
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization

SCRIPT = pathlib.Path(__file__).with_name("statistics_script.py")


def images(count=96, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(1.0, 2.0, [count, 5]).astype("float32")
    return x, random.integers(0, 3, count)


def network(norm=None, dropout=0.0):
    inputs = keras.Input((5,))
    x = norm(inputs) if norm else GhostBatchNormalization(8, momentum=0.9, name="norm")(inputs)
    x = keras.layers.Dropout(dropout, seed=1)(x) if dropout else x
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def ghost_means(x, ghost):
    """NumPy's mean over ghost batches of their means and biased variances."""
    groups = x.astype("float64").reshape(-1, ghost, x.shape[-1])
    return groups.mean(1).mean(0), groups.var(1).mean(0)


def found(statistics):
    return {v.path.split("/")[-1]: value for v, value in statistics.values}


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.999999, 1.0])
@pytest.mark.parametrize(
    "norm, ghost",
    [(lambda m: GhostBatchNormalization(8, momentum=m), 8),
     (lambda m: keras.layers.BatchNormalization(momentum=m), 32)],
)  # fmt: skip
def test_they_are_numpys_mean_over_batches_whatever_the_momentum(norm, ghost, momentum):
    x, _ = images()
    layer = norm(momentum)
    statistics = found(precise_statistics(network(layer), x, batch_size=32))
    mean, variance = ghost_means(x, ghost)
    np.testing.assert_allclose(statistics["moving_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(statistics["moving_variance"], variance, rtol=1e-5)
    assert layer.momentum == momentum


def test_no_more_batches_are_read_than_asked():
    x, y = images()
    endless = tf.data.Dataset.from_tensor_slices((x, y)).batch(32).repeat()
    statistics = found(precise_statistics(network(), endless, 2))
    np.testing.assert_allclose(statistics["moving_mean"], ghost_means(x[:64], 8)[0], rtol=1e-5)


def test_a_smaller_last_batch_weighs_by_its_examples():
    x, _ = images(40)
    statistics = found(precise_statistics(network(), iter([x[:32], x[32:]])))
    np.testing.assert_allclose(statistics["moving_variance"], ghost_means(x, 8)[1], rtol=1e-5)


def test_nothing_in_the_model_changes():
    model = network(dropout=0.5)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = images()
    model.fit(x, y, verbose=0)
    everything = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    before = values(everything)
    with precise_statistics(model, x) as statistics:
        assert [v.path for v, _ in statistics.values] == [
            "norm/moving_mean", "norm/moving_variance"
        ]  # fmt: skip
        for variable, value in statistics.values:
            np.testing.assert_array_equal(variable.numpy(), value)
    for old, new in zip(before, values(everything), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not model.losses


def test_they_can_be_kept():
    x, _ = images()
    model = network()
    precise_statistics(model, x).assign()
    np.testing.assert_allclose(
        model.get_layer("norm").moving_mean.numpy(), ghost_means(x, 8)[0], rtol=1e-5
    )


def test_frozen_layers_are_left_alone_and_nested_ones_are_not():
    inner = network(keras.layers.BatchNormalization(name="inner"))
    frozen = keras.layers.BatchNormalization(name="frozen", trainable=False)
    inputs = keras.Input((5,))
    model = keras.Sequential([inputs, frozen, keras.layers.Dense(5), inner])
    statistics = precise_statistics(model, images()[0])
    assert [v.path.split("/")[-2] for v, _ in statistics.values] == ["inner", "inner"]


def test_a_layer_called_twice_has_the_mean_of_its_calls():
    layer = keras.layers.BatchNormalization(center=False, scale=False)
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layer(layer(inputs) * 3.0 + 1.0))
    x, _ = images()
    first, _ = ghost_means(x, len(x))
    statistics = found(precise_statistics(model, x, batch_size=len(x)))
    np.testing.assert_allclose(statistics["moving_mean"], (first + 1.0) / 2, rtol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_every_precision(policy):
    model = network(GhostBatchNormalization(8, dtype=policy))
    x, _ = images()
    x = x.astype("float16").astype("float32") if policy == "mixed_float16" else x
    statistics = precise_statistics(model, x, batch_size=32)
    expected = "float64" if policy == "float64" else "float32"
    assert {value.dtype.name for _, value in statistics.values} == {expected}
    tolerance = 2e-2 if policy == "mixed_bfloat16" else 1e-5
    np.testing.assert_allclose(
        found(statistics)["moving_variance"], ghost_means(x, 8)[1], rtol=tolerance
    )


def test_micro_batches_of_a_trainer_change_nothing():
    x, _ = digits()
    whole, cut = (
        precise_statistics(trainer(micro_batch_size=size), x, batch_size=64) for size in (None, 16)
    )
    assert len(whole.values) == 4
    for (_, one), (_, other) in zip(whole.values, cut.values, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_estimated_is_refused():
    x, _ = images()
    plain = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    with pytest.raises(BadInput, match="no batch normalization layer"):
        precise_statistics(plain, x)
    with pytest.raises(BadInput, match="has no examples"):
        precise_statistics(network(), [])
    with pytest.raises(BadInput, match="`data` of precise_statistics must be arrays, or batches"):
        precise_statistics(network(), None)
    with pytest.raises(BadInput, match="`batches`.*Received: batches=0"):
        PreciseStatistics(x, batches=0)
    plain.compile("sgd", "mse")
    with pytest.raises(BadInput, match="no batch normalization layer"):
        plain.fit(x, np.zeros([96, 3]), callbacks=[PreciseStatistics(x)], verbose=0)


@pytest.mark.quick_rows(1)
@pytest.mark.slow
def test_two_replicas_estimate_what_one_device_does():
    done = ended([str(SCRIPT)])
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report == {"difference": pytest.approx(0, abs=1e-5), "equal": True, "restored": True}
