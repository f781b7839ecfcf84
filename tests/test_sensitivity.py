"""Eq. 7, C and r beside NumPy in float64, of drawn gradients and parameters."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import ops

from tf_bdecay.sensitivity import bias_ratio_error
from tf_bdecay.sharpness import bias_ratio, connection_sensitivity, l1_norms

pytestmark = pytest.mark.any_backend

# Backends flush subnormal numbers to 0, so that none are drawn.
positive = st.floats(2**-10, 2**10, width=32)
finite = st.just(0.0) | positive | positive.map(lambda x: -x)
sizes = st.just(0.0) | st.floats(2**-50, 2**50, width=32)


def to_tensors(*arrays):
    return [ops.convert_to_tensor(np.asarray(a, "float32")) for a in arrays]


@given(hnp.arrays("float32", (2, 3, 4), elements=finite))
def test_sensitivity_is_gradient_times_parameter(pair):
    gradient, parameter = pair
    (s,) = connection_sensitivity(to_tensors(gradient), to_tensors(parameter))
    np.testing.assert_array_equal(ops.convert_to_numpy(s), gradient * parameter)


def test_variables_serve_as_parameters():
    variable = keras.Variable([[2.0, -3.0]])
    (s,) = connection_sensitivity(to_tensors([[5.0, 7.0]]), [variable])
    np.testing.assert_array_equal(ops.convert_to_numpy(s), [[10.0, -21.0]])


def test_lists_of_unequal_length_are_an_error():
    with pytest.raises(ValueError):
        connection_sensitivity(to_tensors([1.0]), to_tensors([1.0], [2.0]))


@given(st.lists(hnp.arrays("float32", hnp.array_shapes(max_dims=3), elements=finite), min_size=1))
def test_norms_are_sums_of_absolute_values_by_variable(arrays):
    norms = [float(n) for n in l1_norms(to_tensors(*arrays))]
    expected = [np.abs(a.astype("float64")).sum() for a in arrays]
    np.testing.assert_allclose(norms, expected, rtol=1e-5)


def test_norm_of_a_variable_without_elements_is_zero():
    assert [float(n) for n in l1_norms(to_tensors(np.zeros((0, 3))))] == [0.0]


@given(hnp.arrays("float32", 12, elements=finite), st.integers(0, 12))
def test_norms_add_up_over_any_cut(values, cut):
    """Eq. 11: C of the whole is the sum of C of its parts."""
    whole, left, right = l1_norms(to_tensors(values, values[:cut], values[cut:]))
    np.testing.assert_allclose(float(whole), float(left) + float(right), rtol=1e-5)


@pytest.mark.parametrize(
    "c_beta, c_gamma, expected",
    [
        (0.0, 0.0, 0.0),  # neither has started to move
        (0.0, 3.0, 0.0),
        (3.0, 0.0, np.inf),
        (1.0, 4.0, 0.25),
        (4.0, 1.0, 4.0),
        (1e-37, 1e-37, 1.0),
    ],
)
def test_ratio_of_every_case(c_beta, c_gamma, expected):
    (ratio,) = ops.convert_to_numpy(bias_ratio(*to_tensors([c_beta], [c_gamma])))
    assert ratio == pytest.approx(expected, rel=1e-6)


@given(hnp.arrays("float32", (2, 5), elements=sizes))
def test_ratio_against_float64(pair):
    c_beta, c_gamma = pair.astype("float64")
    with np.errstate(all="ignore"):
        expected = np.where(c_beta == 0, 0.0, c_beta / c_gamma)
    ratio = ops.convert_to_numpy(bias_ratio(*to_tensors(*pair)))
    assert not np.isnan(ratio).any()
    np.testing.assert_allclose(ratio, expected, rtol=1e-6)


def test_the_error_of_a_ratio_is_by_its_gradient_and_the_covariance_of_both():
    """The delta method as it is written for any function: sqrt(g^T S g)."""
    rng = np.random.default_rng(0)
    c_beta, c_gamma = rng.uniform(0.1, 3, (2, 6))
    c_gamma[0] = 1.0
    examples = rng.normal(size=(6, 2, 50)) * rng.uniform(0.1, 1, (6, 2, 1))
    examples[:, 1] += 0.5 * examples[:, 0]
    covariances = np.array([np.cov(pair) for pair in examples])
    gradients = np.stack([1 / c_gamma, -c_beta / c_gamma**2], axis=1)
    expected = np.sqrt(np.einsum("li,lij,lj->l", gradients, covariances, gradients))
    errors = np.sqrt(covariances[:, 0, 0]), np.sqrt(covariances[:, 1, 1])
    found = bias_ratio_error(c_beta, c_gamma, *errors, covariances[:, 0, 1])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_error_of_a_ratio_is_unknown_where_gamma_has_no_sensitivity():
    one, nothing = np.ones(2), np.array([0.0, 1.0])
    found = bias_ratio_error(one, nothing, 0.1 * one, 0.1 * one, 0 * one)
    assert list(np.isnan(found)) == [True, False]


def test_the_error_of_a_ratio_is_not_below_0_by_rounding():
    """C(beta) is C(gamma) in every example: r is 1 in each, and its error 0."""
    error = np.array([0.1])
    found = bias_ratio_error(np.array([0.3]), np.array([0.3]), error, error, error**2 * (1 + 1e-12))
    assert found == 0


@given(positive, positive, st.floats(1e-6, 1e6))
def test_scale_of_the_loss_does_not_matter_to_the_ratio(c_beta, c_gamma, scale):
    plain, scaled = ops.convert_to_numpy(
        bias_ratio(*to_tensors([c_beta, c_beta * scale], [c_gamma, c_gamma * scale]))
    )
    assert scaled == pytest.approx(plain, rel=1e-5)
