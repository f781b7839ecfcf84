import keras
import numpy as np
import pytest

from tests.sharpness.networks import (
    convolutional,
    crossentropy,
    dense,
    dense_hessian,
    examples_for,
    residual,
)
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import hessian_spectrum, hessian_trace
from tf_bdecay.sharpness.session import Session


def diagonal_sums(model, hessian):
    """Trace of each variable's diagonal block."""
    ends = np.cumsum([int(np.prod(v.shape)) for v in model.trainable_variables])
    return np.array([part.sum() for part in np.split(np.diag(hessian), ends[:-1])])


@pytest.mark.parametrize("make", [convolutional, residual])
def test_trace_is_within_three_standard_errors_everywhere(double, make):
    model = make()
    x, y = examples_for(model)
    exact = diagonal_sums(model, dense_hessian(model, x, y))
    result = hessian_trace(model, crossentropy, (x, y), num_probes=60, seed=3)
    groups = exact @ result.partition.matrix
    deviations = np.abs(result.shares @ result.partition.matrix - groups) / result.errors
    assert deviations.max() < 4 and np.mean(deviations > 2) < 0.2
    assert abs(result.total - exact.sum()) < 3 * result.standard_error
    assert result.by_kind["Total"] == pytest.approx(sum(result.by_layer.values()))


def test_standard_errors_cover_the_truth(double):
    """Over 60 seeds, 2 standard errors hold the trace about 95 times in 100, in every layer."""
    model = dense()
    x, y = examples_for(model)
    exact = diagonal_sums(model, dense_hessian(model, x, y))
    pooled = hessian_trace(model, crossentropy, (x, y), num_probes=60 * 16, seed=0).samples
    covered = []
    for rows in pooled.reshape(60, 16, -1):
        error = rows.std(0, ddof=1) / 4
        covered.append(np.abs(rows.mean(0) - exact) < 2.1 * error)  # Student's t, 15 degrees
    assert (np.mean(covered, axis=0) > 0.85).all()
    assert np.mean(covered) < 0.995


def test_probes_depend_on_seed_and_index_alone():
    model = dense()
    data = examples_for(model)
    few, more, other = (
        hessian_trace(model, crossentropy, data, num_probes=n, seed=seed).samples
        for n, seed in ((3, 0), (5, 0), (3, 1))
    )
    np.testing.assert_array_equal(few, more[:3])
    assert not np.allclose(few, other)


def test_stops_at_the_tolerance_and_says_where_it_does_not():
    model = dense()
    data = examples_for(model)
    met = hessian_trace(model, crossentropy, data, num_probes=400, tolerance=0.2)
    assert met.converged and met.standard_error <= 0.2 * abs(met.total)
    assert 8 <= met.probes < 400
    missed = hessian_trace(model, crossentropy, data, num_probes=9, tolerance=1e-4)
    assert not missed.converged and missed.probes == 9
    assert "NOT within the tolerance" in missed.title and not missed.to_dict()["converged"]


def test_a_trace_within_its_error_of_0_has_no_logarithm(double):
    model = dense()
    x, y = examples_for(model)
    positive = hessian_trace(model, crossentropy, (x, y), num_probes=100)
    assert positive.log == pytest.approx(np.log(positive.total))

    def minus(y, logits):
        return -crossentropy(y, logits)

    negative = hessian_trace(model, minus, (x, y), num_probes=20)
    assert negative.log is None and "no logarithm" in negative.title


class Interrupted(Session):
    """Keeps states in memory, and stops after so many steps."""

    def __init__(self, stop_after):
        self.left, self.states = stop_after, {}

    def restore(self, key):
        return self.states.get(key)

    def keep(self, key, state):
        self.states[key] = state()

    def progress(self, done, total):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "measure", [lambda *a, **k: hessian_trace(*a, num_probes=5, **k), hessian_spectrum]
)
def test_goes_on_where_it_was_interrupted(measure):
    model = dense()
    data = examples_for(model)
    session = Interrupted(3 if measure is not hessian_spectrum else 50)
    with pytest.raises(KeyboardInterrupt):
        measure(model, crossentropy, data, session=session)
    assert session.states
    resumed = measure(model, crossentropy, data, session=session)
    whole = measure(model, crossentropy, data)
    assert resumed.to_dict() == whole.to_dict()


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
    hessian = dense_hessian(model, x, y)
    result = hessian_spectrum(model, crossentropy, (x, y), steps=3, num_probes=1, seed=5)
    from tf_bdecay.sharpness.curvature import hessian as operator_of
    from tf_bdecay.sharpness.trace import rademacher

    v = rademacher(5, 0, operator_of(model, crossentropy, (x, y)))
    for power in range(7):
        exact = v @ np.linalg.matrix_power(hessian, power) @ v / len(v)
        close = result.moment(power)[0] == pytest.approx(exact, rel=1e-9)
        assert close == (power <= 5)


@pytest.mark.parametrize(
    "measure, arguments, sentence",
    [
        (hessian_trace, dict(num_probes=0), "`num_probes` must be a whole number >= 2"),
        (hessian_trace, dict(seed=-1), "`seed` must be a whole number >= 0"),
        (hessian_trace, dict(tolerance=0), "`tolerance` must be a number > 0"),
        (hessian_spectrum, dict(steps=0), "`steps` must be a whole number >= 1"),
        (hessian_spectrum, dict(memory_gb=5e-6, examples_at_once=1), "Lanczos vectors of 43 param"),
    ],
)
def test_bad_arguments(measure, arguments, sentence):
    model = dense()
    with pytest.raises(BadInput, match=sentence):
        measure(model, crossentropy, examples_for(model), **arguments)


def test_a_model_of_one_parameter():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    data = np.array([[1.0], [2.0]]), np.array([[1.0], [1.0]])
    result = hessian_spectrum(model, "mse", data)
    assert result.extremes == pytest.approx((5.0, 5.0))  # d^2/dw^2 of mean (w x - y)^2
    assert np.isfinite(result.density()[1]).all()
