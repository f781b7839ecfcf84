"""A user's own operator in place of the Hessian gives the dense matrix's results."""

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from tests.sharpness.networks import crossentropy, dense, examples_for
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import hessian_spectrum, hessian_top_eigenvalue, hessian_trace


@pytest.fixture
def case(double):
    model = dense()
    size = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    root = np.random.default_rng(0).normal(size=(size, size))
    return model, root @ root.T / size, (model, crossentropy, examples_for(model))


def test_the_trace_is_that_of_the_matrix_by_variable(case):
    model, matrix, arguments = case
    result = hessian_trace(*arguments, num_probes=200, operator=aslinearoperator(matrix))
    ends = np.cumsum([int(np.prod(v.shape)) for v in model.trainable_variables])[:-1]
    exact = np.array([part.sum() for part in np.split(np.diag(matrix), ends)])
    groups = exact @ result.partition.matrix
    deviations = np.abs(result.shares @ result.partition.matrix - groups) / result.errors
    assert deviations.max() < 4
    assert result.of == "operator that was given" and result.of in result.title


def test_its_loss_and_examples_are_still_those_of_the_model(case):
    _, matrix, arguments = case
    usual = hessian_trace(*arguments, num_probes=2)
    given = hessian_trace(*arguments, num_probes=2, operator=aslinearoperator(matrix))
    assert (given.loss, given.examples) == (pytest.approx(usual.loss), usual.examples)
    assert usual.of == "Hessian" and "given" not in usual.title


def test_the_largest_eigenvalues_are_those_of_the_matrix(case):
    _, matrix, arguments = case
    operator = aslinearoperator(matrix)
    result = hessian_top_eigenvalue(*arguments, k=2, tolerance=1e-9, operator=operator)
    np.testing.assert_allclose(result.eigenvalues, np.linalg.eigvalsh(matrix)[:-3:-1], rtol=1e-7)
    assert "of the operator that was given" in result.title


def test_the_moments_of_the_spectrum_are_those_of_the_matrix(case):
    _, matrix, arguments = case
    operator = aslinearoperator(matrix)
    result = hessian_spectrum(*arguments, steps=20, num_probes=30, operator=operator)
    for power in (1, 2):
        mean, error = result.moment(power)
        exact = np.trace(np.linalg.matrix_power(matrix, power)) / len(matrix)
        assert abs(mean - exact) < 4 * error
    assert "of the operator that was given" in result.title


@pytest.mark.parametrize("measure", [hessian_trace, hessian_top_eigenvalue, hessian_spectrum])
def test_what_is_no_symmetric_operator_of_the_parameters_is_refused(case, measure):
    _, matrix, arguments = case
    with pytest.raises(BadInput, match="between vectors of the model's .* Received: ndarray"):
        measure(*arguments, operator=matrix)
    with pytest.raises(BadInput, match=r"Received: .* of shape \(3, 3\)"):
        measure(*arguments, operator=aslinearoperator(np.eye(3)))
    lopsided = matrix + np.triu(np.ones_like(matrix))
    with pytest.raises(BadInput, match="must be symmetric"):
        measure(*arguments, operator=aslinearoperator(lopsided))


def test_an_operator_of_functions_will_do(case):
    _, matrix, arguments = case
    size = len(matrix)
    double = LinearOperator((size, size), matvec=lambda v: 2 * v, dtype="float64")
    result = hessian_trace(*arguments, num_probes=2, operator=double)
    assert result.total == pytest.approx(2 * size) and result.standard_error == pytest.approx(0)
