"""The formulas of the update equal float64 NumPy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tf_bdecay.optim import formulas

pytestmark = pytest.mark.any_backend


def tensor(x):
    return ops.convert_to_tensor(np.asarray(x, "float32"))


@pytest.mark.parametrize("beta_1, beta_2", [(0.9, 0.99), (0.3, 0.4), (0.0, 0.0)])
def test_moments(beta_1, beta_2):
    g, m, v = np.random.default_rng(0).normal(size=(3, 50))
    new_m, new_v = formulas.moments(tensor(g), tensor(m), tensor(v**2), beta_1, beta_2)
    np.testing.assert_allclose(new_m, beta_1 * m + (1 - beta_1) * g, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(new_v, beta_2 * v**2 + (1 - beta_2) * g**2, rtol=1e-5)


@settings(max_examples=50)
@given(st.sampled_from([0.9, 0.99, 0.999, 0.9999]), st.integers(1, 100_000))
def test_bias_correction_keeps_its_digits(beta, t):
    exact = 1 - math.exp(t * math.log(beta)) if t > 100 else -math.expm1(t * math.log(beta))
    corrected = float(formulas.bias_correction(beta, tensor(t)))
    assert corrected == pytest.approx(exact, rel=1e-6)


def test_naive_bias_correction_would_not():
    naive = float(1 - np.float32(0.999) ** np.float32(1))
    assert abs(naive / 0.001 - 1) > 1e-5  # what the expm1 is for
    assert abs(float(formulas.bias_correction(0.999, tensor(1))) / 0.001 - 1) < 1e-6


def test_no_momentum_needs_no_correction():
    assert float(formulas.bias_correction(0.0, tensor(3))) == 1.0


def test_direction():
    m, v = np.random.default_rng(0).normal(size=(2, 50))
    a = formulas.adam_direction(tensor(m), tensor(v**2), 1e-3, tensor(0.2), tensor(0.03))
    expected = (m / 0.2) / (np.sqrt(v**2 / 0.03) + 1e-3)
    np.testing.assert_allclose(a, expected, rtol=1e-5)


def test_direction_without_epsilon_is_0_where_nothing_ever_was():
    a = formulas.adam_direction(tensor([0.0, 2.0]), tensor([0.0, 4.0]), 0.0)
    np.testing.assert_allclose(a, [0.0, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("theta", "u", "clip", "ratio"),
    [(2.0, 4.0, None, 0.5), (0.0, 4.0, None, 1.0), (2.0, 0.0, None, 1.0), (0.0, 0.0, None, 1.0),
     (8.0, 2.0, 3.0, 3.0), (2.0, 4.0, 3.0, 0.5)],
)  # fmt: skip
def test_trust_ratio(theta, u, clip, ratio):
    assert float(formulas.trust_ratio(tensor(theta), tensor(u), clip)) == ratio


@settings(max_examples=25)
@given(
    st.tuples(*[st.floats(1e-3, 1e3)] * 2),
    st.floats(0, 1),
    st.sampled_from([1e-3, 0.02]),
    st.sampled_from([0.0, 0.1]),
)
def test_lars_trust_ratio(norms, decay, coefficient, epsilon):
    theta, g = np.float64(np.float32(norms))
    expected = coefficient * theta / (g + decay * theta + epsilon)
    found = formulas.lars_trust_ratio(tensor(theta), tensor(g), tensor(decay), coefficient, epsilon)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("theta, g", [(0.0, 2.0), (2.0, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_lars_trust_ratio_is_1_where_a_norm_is_0(theta, g, epsilon):
    found = formulas.lars_trust_ratio(tensor(theta), tensor(g), 0.0, 0.001, epsilon)
    assert float(found) == 1.0


@pytest.mark.parametrize("nesterov", [False, True])
def test_heavy_ball(nesterov):
    d, b = np.random.default_rng(0).normal(size=(2, 50))
    step, buffer = formulas.heavy_ball(tensor(d), tensor(b), 0.7, nesterov)
    np.testing.assert_allclose(buffer, 0.7 * b + d, rtol=1e-4, atol=1e-6)
    expected = d + 0.7 * (0.7 * b + d) if nesterov else 0.7 * b + d
    np.testing.assert_allclose(step, expected, rtol=1e-4, atol=1e-6)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=5), st.floats(1e-3, 1e3))
def test_clipping_brings_the_norm_to_the_limit_and_leaves_shorter_ones(norms, limit):
    squares = tensor(np.square(norms))
    scale = float(formulas.clip_by_global_norm_scale(squares, limit))
    norm = math.sqrt(sum(n**2 for n in norms))
    assert 0 < scale <= 1
    assert scale * norm <= limit * (1 + 1e-5)
    if norm < limit * (1 - 1e-5):
        assert scale == 1.0
