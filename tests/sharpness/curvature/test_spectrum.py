"""The spectrum's moments beside those of the dense Hessian."""

import functools

import keras
import numpy as np
import pytest

from tests.sharpness.curvature.interrupted import goes_on
from tests.sharpness.networks import crossentropy, dense, dense_hessian, examples_for
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import hessian, hessian_spectrum, hessian_trace
from tf_bdecay.sharpness.curvature.trace import rademacher


def test_spectrum_has_the_moments_of_the_dense_matrix(double):
    model = dense()
    x, y = examples_for(model)
    eigenvalues = np.linalg.eigvalsh(dense_hessian(model, x, y))
    size = len(eigenvalues)
    result = hessian_spectrum(model, crossentropy, (x, y), steps=size, num_probes=40)
    for power in (1, 2, 3):
        mean, error = result.moment(power)
        assert abs(mean - np.mean(eigenvalues**power)) < 3.5 * error
    assert result.moment(0) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-12))
    assert result.extremes == pytest.approx((eigenvalues[0], eigenvalues[-1]))
    grid, density = result.density()
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
    trace = hessian_trace(model, crossentropy, (x, y), num_probes=40)
    assert result.total == pytest.approx(trace.total)  # the same probes
    assert result.by_layer == pytest.approx(trace.by_layer)


def test_quadrature_matches_the_moments_of_its_own_vector(double):
    """Gauss: v^T H^p v is exact for p <= 2 steps - 1 and not beyond."""
    model = dense()
    x, y = examples_for(model)
    matrix = dense_hessian(model, x, y)
    result = hessian_spectrum(model, crossentropy, (x, y), steps=3, num_probes=1, seed=5)
    v = rademacher(5, 0, hessian(model, crossentropy, (x, y)))
    for power in range(7):
        exact = v @ np.linalg.matrix_power(matrix, power) @ v / len(v)
        close = result.moment(power)[0] == pytest.approx(exact, rel=1e-9)
        assert close == (power <= 5)


def test_goes_on_where_it_was_interrupted():
    goes_on(functools.partial(hessian_spectrum, steps=6), stop=8)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (dict(steps=0), "`steps` must be a whole number >= 1"),
        (dict(memory_gb=5e-6, examples_at_once=1), "Lanczos vectors of 43 parameters .*5e-06"),
    ],
)
def test_bad_arguments(arguments, sentence):
    model = dense()
    with pytest.raises(BadInput, match=sentence):
        hessian_spectrum(model, crossentropy, examples_for(model), **arguments)


def test_a_density_has_a_width():
    model = dense()
    result = hessian_spectrum(model, crossentropy, examples_for(model), steps=3, num_probes=1)
    with pytest.raises(BadInput, match="`width` must be a number > 0. Received: width=0"):
        result.density(width=0)


def test_a_model_of_one_parameter():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    data = np.array([[1.0], [2.0]]), np.array([[1.0], [1.0]])
    result = hessian_spectrum(model, "mse", data)
    assert result.extremes == pytest.approx((5.0, 5.0))  # d^2/dw^2 of mean (w x - y)^2
    assert np.isfinite(result.density()[1]).all()
