"""Schedules equal the formulas of appendix A.1 in plain Python."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_bdecay.errors import BadInput
from tf_bdecay.schedules import (
    LinearWarmupCosine,
    PolynomialWarmupDecay,
    for_batch,
    scale_learning_rate,
)

pytestmark = pytest.mark.any_backend


@settings(max_examples=25)
@given(
    st.integers(1, 5000),
    st.floats(0, 1),
    st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]),
    st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]),
    st.floats(0, 1),
    st.data(),
)
def test_polynomial(total, warmup, rise, fall, end, data):
    schedule = PolynomialWarmupDecay(0.5, total, warmup, rise, fall, initial=end / 7, final=end / 3)
    w = round(warmup * total)
    t = data.draw(st.integers(0, total))
    if t < w:
        expected = end / 7 + (0.5 - end / 7) * (t / w) ** rise
    else:
        expected = end / 3 + (0.5 - end / 3) * (1 - (t - w) / max(total - w, 1)) ** fall
    assert float(schedule(t)) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_indexing_is_pinned():
    """The first update has the rate of t = 0, the second peak / W^2: beta's seed."""
    schedule = PolynomialWarmupDecay(0.04, 1200)  # CIFAR: 200 epochs of 6 updates
    assert schedule.warmup_updates == 360
    assert float(schedule(0)) == 0.0
    assert float(schedule(1)) == pytest.approx(0.04 / 360**2)
    assert float(schedule(360)) == pytest.approx(0.04)
    assert float(schedule(1199)) == pytest.approx(0.04 / 840**2, rel=1e-3)
    assert float(schedule(1200)) == float(schedule(5000)) == 0.0


@pytest.mark.parametrize("batch, expected", [(8192, 16), (512, 65)])
def test_sum_of_rates_is_what_method_says(batch, expected):
    """16 at a batch of 8k, 65 at 512: the sum grows as batch^-1/2 at fixed epochs."""
    schedule = for_batch(batch, 50_000, 200, remainder="drop")
    assert schedule.total_updates == 200 * (50_000 // batch)
    assert schedule.sum() == pytest.approx(expected, rel=0.02)
    t, w = np.arange(schedule.total_updates), schedule.warmup_updates
    peak, fall = 0.04 * math.sqrt(batch / 8192), 1 - (t - w) / (len(t) - w)
    rates = np.where(t < w, (t / w) ** 2, fall**2) * peak
    assert schedule.sum() == pytest.approx(rates.sum(), rel=1e-5)


@settings(max_examples=25)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 300), st.integers(1, 9999))
def test_for_batch_is_the_rule_and_the_count_of_updates(batch, examples, epochs, base):
    batch = min(batch, examples)
    kept = for_batch(batch, examples, epochs, 0.3, base, warmup=0.5, final=0.01)
    assert kept.total_updates == epochs * math.ceil(examples / batch)
    assert kept.warmup_updates == round(kept.total_updates * 0.5)
    assert kept.peak == scale_learning_rate(0.3, batch, base)
    assert (kept.power_warmup, kept.final) == (2.0, 0.01)
    dropped = for_batch(batch, examples, epochs, 0.3, base, "drop")
    assert dropped.total_updates == epochs * (examples // batch)


def test_for_batch_counts_the_updates_that_fit_does():
    """The rate after the last update of `fit` is the end of the schedule."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    schedule = for_batch(4, num_examples=10, epochs=2)
    model.compile(keras.optimizers.SGD(schedule), "mse")
    model.fit(np.ones((10, 2)), np.ones((10, 1)), batch_size=4, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == schedule.total_updates == 6


@settings(max_examples=30)
@given(st.integers(1, 1000), st.data())
def test_cosine(total, data):
    w = data.draw(st.integers(0, total))
    t = data.draw(st.integers(0, total))
    if t < w:
        expected = 0.1 * t / w
    else:
        expected = 0.05 * (1 + math.cos(math.pi * (t - w) / max(total - w, 1)))
    assert float(LinearWarmupCosine(0.1, total, w)(t)) == pytest.approx(
        expected, rel=1e-4, abs=1e-7
    )


def test_square_root_rule():
    assert scale_learning_rate(0.04, 8192, 8192) == 0.04
    assert scale_learning_rate(0.04, 512, 8192) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "schedule", [PolynomialWarmupDecay(0.04, 100, 0.2, final=0.001), LinearWarmupCosine(0.1, 50, 5)]
)
def test_config_round_trip(schedule):
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert again.get_config() == schedule.get_config()
    assert float(again(7)) == float(schedule(7))


@pytest.mark.parametrize(
    "make",
    [
        lambda: PolynomialWarmupDecay(-1.0, 10),
        lambda: PolynomialWarmupDecay(float("nan"), 10),
        lambda: PolynomialWarmupDecay(0.1, 0),
        lambda: PolynomialWarmupDecay(0.1, 10, warmup=1.5),
        lambda: PolynomialWarmupDecay(0.1, 10, power_decay=-1),
        lambda: LinearWarmupCosine(0.1, 10, 11),
        lambda: LinearWarmupCosine(0.1, 10, 2.5),
        lambda: scale_learning_rate(0.04, 0, 8192),
        lambda: for_batch(8, 4, 1),
        lambda: for_batch(8, 16, 0),
        lambda: for_batch(8, 16, 1, remainder="both"),
        lambda: for_batch(8, 16, 1, base_batch=0),
    ],
)
def test_values_out_of_range_are_refused(make):
    with pytest.raises(BadInput, match="Received|Unknown"):
        make()
