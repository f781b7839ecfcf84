"""The estimates on made-up gradients with known mean and covariance, and what follows from them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_bdecay import gradient_noise as noise

MEAN = np.array([0.3, -0.5, 0.1])
FACTOR = np.array([[1.0, 0.0, 0.0], [0.5, 0.7, 0.0], [-0.2, 0.1, 2.0]])
SQUARE, TRACE = MEAN @ MEAN, np.trace(FACTOR @ FACTOR.T)
DRAWS = 40_000


def drawn(sizes, weights, seed=0):
    """Squared norms, mean of the parts' and of the whole, of many batches of normal gradients."""
    rng = np.random.default_rng(seed)
    parts = [
        MEAN + rng.normal(size=(DRAWS, 3)) @ FACTOR.T / math.sqrt(n) for n in sizes
    ]  # fmt: skip
    small = sum(a * np.sum(g**2, axis=1) for a, g in zip(weights, parts, strict=True))
    whole = sum(a * g for a, g in zip(weights, parts, strict=True))
    return small, np.sum(whole**2, axis=1)


def effective_batches(sizes, weights):
    """b and B of parts of some sizes, as the docstring of `estimates` has them."""
    return 1 / (weights / sizes).sum(), 1 / (weights**2 / sizes).sum()


def off(values, expected):
    """How far a mean is from what was expected, in standard errors."""
    return abs(values.mean() - expected) / (values.std() / math.sqrt(len(values)))


@pytest.mark.parametrize("sizes", [(4, 4), (1,) * 8, (16, 16, 16), (5, 2, 9)])
def test_both_estimates_are_unbiased(sizes):
    sizes = np.array(sizes)
    weights = np.full(len(sizes), 1 / len(sizes))
    small, big = drawn(sizes, weights)
    square, trace = noise.estimates(small, big, *effective_batches(sizes, weights))
    assert off(square, SQUARE) < 4 and off(trace, TRACE) < 4
    assert noise.noise_scale(square.mean(), trace.mean()) == pytest.approx(TRACE / SQUARE, rel=0.1)


@pytest.mark.parametrize("wrong", [(2, 1), (0.5, 1), (1, 2), (1, 0.75)])
def test_a_wrong_batch_size_is_seen(wrong):
    small, big = drawn((4, 4), (0.5, 0.5))
    square, trace = noise.estimates(small, big, 4 * wrong[0], 8 * wrong[1] + 0.5)
    assert off(square, SQUARE) > 10 or off(trace, TRACE) > 10


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.integers(1, 10**6), st.integers(2, 50))
def test_expected_norms_give_back_what_they_are_made_of(square, trace, size, parts):
    """float64 against the definition, E |G_B|^2 = |G|^2 + S / B."""
    batch = parts * size
    found = noise.estimates(square + trace / size, square + trace / batch, size, batch)
    scale = square + trace / size
    assert found[0] == pytest.approx(square, rel=1e-9, abs=1e-9 * scale)
    assert found[1] == pytest.approx(trace, rel=1e-9, abs=1e-9 * scale * batch)


def test_a_whole_data_set_drawn_without_replacement():
    """S is that of the sample covariance, and |G|^2 short by S / D: exact over all draws."""
    rng = np.random.default_rng(1)
    g = rng.normal(size=(6, 3)) + MEAN
    found = []
    for order in itertools.permutations(range(6)):
        a, b = g[list(order[:2])].mean(0), g[list(order[2:4])].mean(0)
        small, whole = (a @ a + b @ b) / 2, (a + b) / 2
        found.append(noise.estimates(small, whole @ whole, 2, 4))
    square, trace = np.mean(found, axis=0)
    expected = np.trace(np.cov(g.T, ddof=1))
    assert trace == pytest.approx(expected)
    assert square == pytest.approx(g.mean(0) @ g.mean(0) - expected / 6)


def test_the_scale_of_no_gradient_no_noise_and_no_measurement():
    assert noise.noise_scale(2.0, 10.0) == 5.0
    assert noise.noise_scale(2.0, -1.0) == 0.0
    assert noise.noise_scale(0.0, 1.0) == noise.noise_scale(-1.0, 1.0) == math.inf
    assert math.isnan(noise.noise_scale(math.nan, 1.0)) and math.isnan(
        noise.noise_scale(1.0, math.nan)
    )
    words = [noise.in_words(s) for s in (3412.4, 12.6, 0.512, math.inf, math.nan)]
    assert words == ["3,412", "13", "0.51", "beyond measure", "not measured"]


def test_an_update_is_worth_its_share_over_those_of_smaller_ones():
    """An update of 8,192 beside eight of 1,024, from their shares alone."""
    for scale in (0.0, 100.0, 9728.0, 1e9):
        whole = noise.update_share(8192, scale)
        eighth = noise.update_share(1024, scale)
        assert noise.worth(8192, 8, scale) == pytest.approx(whole / (8 * eighth))
    assert noise.sentence(8192, 9728.0) == "an update at 8,192 is worth 0.60 of eight at 1,024"
    assert noise.sentence(6, 1.0) == "an update at 6 is worth 0.57 of two at 3"
    assert noise.sentence(7, 7.0) == "an update at 7 does 0.50 of what one by all examples would"
    assert noise.worth(8192, 8, math.inf) == 1.0


@given(st.integers(1, 10**6), st.floats(1e-6, 1e9))
def test_shares_add_up_and_the_scale_of_a_run_comes_back(batch, scale):
    assert noise.update_share(batch, scale) + noise.example_share(batch, scale) == pytest.approx(1)
    share = noise.update_share(batch, scale)
    # 1 / share - 1 loses the digits of a scale far below the batch.
    assert noise.scale_of_run(batch, share) == pytest.approx(scale, rel=1e-6, abs=1e-9 * batch)
    assert noise.scale_of_run(batch, 0.0) == math.inf
    assert noise.example_share(batch, math.inf) == 1.0
