"""The trace and its standard errors beside the diagonal of the dense Hessian."""

import functools

import numpy as np
import pytest

from tests.sharpness.curvature.interrupted import goes_on
from tests.sharpness.networks import (
    convolutional,
    crossentropy,
    dense,
    dense_hessian,
    examples_for,
    residual,
)
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import hessian_trace


def diagonal_sums(model, hessian):
    """Trace of each variable's diagonal block."""
    ends = np.cumsum([int(np.prod(v.shape)) for v in model.trainable_variables])
    return np.array([part.sum() for part in np.split(np.diag(hessian), ends[:-1])])


@pytest.mark.parametrize("make", [convolutional, residual])
@pytest.mark.quick_rows(1)
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


def test_goes_on_where_it_was_interrupted():
    goes_on(functools.partial(hessian_trace, num_probes=5), stop=3)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (dict(num_probes=0), "`num_probes` must be a whole number >= 2"),
        (dict(seed=-1), "`seed` must be a whole number >= 0"),
        (dict(tolerance=0), "`tolerance` must be a number > 0"),
    ],
)
def test_bad_arguments(arguments, sentence):
    model = dense()
    with pytest.raises(BadInput, match=sentence):
        hessian_trace(model, crossentropy, examples_for(model), **arguments)
