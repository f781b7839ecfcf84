"""The largest eigenvalues beside NumPy's of the dense Hessian."""

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
from tf_bdecay.sharpness import hessian, hessian_top_eigenvalue


@pytest.mark.parametrize("make", [dense, convolutional, residual])
@pytest.mark.quick_rows(1)
def test_equals_the_dense_matrix(double, make):
    model = make()
    x, y = examples_for(model)
    eigenvalues = np.linalg.eigvalsh(dense_hessian(model, x, y))[::-1]
    result = hessian_top_eigenvalue(model, crossentropy, (x, y), k=3, tolerance=1e-9)
    np.testing.assert_allclose(result.eigenvalues, eigenvalues[:3], rtol=1e-7)
    assert result.total == pytest.approx(eigenvalues[0])
    assert result.converged and (result.residuals < 1e-7).all()
    assert sum(result.by_layer.values()) == pytest.approx(eigenvalues[0])


def test_the_eigenvector_is_one(double):
    model = dense()
    x, y = examples_for(model)
    result = hessian_top_eigenvalue(model, crossentropy, (x, y), tolerance=1e-8)
    (pieces,) = result.eigenvectors
    assert [p.shape for p in pieces] == [tuple(v.shape) for v in model.trainable_variables]
    vector = np.concatenate([p.reshape(-1) for p in pieces])
    assert np.linalg.norm(vector) == pytest.approx(1)
    np.testing.assert_allclose(
        dense_hessian(model, x, y) @ vector, result.total * vector, atol=1e-6
    )
    # A layer's share is the eigenvalue times the part of the vector that lies in it.
    fc = np.concatenate([p.reshape(-1) for p in pieces[2:]])
    assert list(result.by_layer.values())[-1] == pytest.approx(result.total * fc @ fc, abs=1e-6)


def test_largest_is_algebraic_not_absolute(double):
    model = dense()
    x, y = examples_for(model)

    def minus(y, logits):
        return -crossentropy(y, logits)

    eigenvalues = np.linalg.eigvalsh(-dense_hessian(model, x, y))
    result = hessian_top_eigenvalue(model, minus, (x, y), tolerance=1e-8)
    assert result.total == pytest.approx(eigenvalues[-1], rel=1e-5)
    assert result.total < abs(eigenvalues[0])
    assert (result.log is None) == (result.total <= 0)


def test_what_has_not_converged_is_said(double):
    """The fourth eigenvalue of a solver that may not restart is far from exact, whatever rounds."""
    model = residual()
    data = examples_for(model)
    result = hessian_top_eigenvalue(model, crossentropy, data, 4, tolerance=1e-12, max_restarts=1)
    assert not result.converged and "NOT CONVERGED" in result.title
    assert not result.to_dict()["converged"]
    operator = hessian(model, crossentropy, data)
    vector = np.concatenate([p.reshape(-1) for p in result.eigenvectors[3]])
    residual_norm = np.linalg.norm(operator @ vector - result.eigenvalues[3] * vector)
    assert residual_norm > 1e-8  # rounding makes 1e-14 of it
    assert result.residuals[3] == pytest.approx(residual_norm, rel=1e-3)


def test_a_model_smaller_than_the_solvers_space(double):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    x, y = np.random.default_rng(0).normal(size=(9, 2)), np.arange(9) % 2
    result = hessian_top_eigenvalue(model, crossentropy, (x, y), k=6)
    expected = np.linalg.eigvalsh(dense_hessian(model, x, y))[::-1]
    np.testing.assert_allclose(result.eigenvalues, expected, atol=1e-12)
    with pytest.raises(BadInput, match="has 6 parameters, so no more eigenvalues. Received: k=7"):
        hessian_top_eigenvalue(model, crossentropy, (x, y), k=7)


@pytest.mark.parametrize("name", ["k", "tolerance", "max_restarts"])
def test_bad_arguments(name):
    model = dense()
    with pytest.raises(BadInput, match=f"`{name}` must be"):
        hessian_top_eigenvalue(model, crossentropy, examples_for(model), **{name: 0})


def test_the_solvers_vectors_must_fit_the_memory():
    model = dense()
    with pytest.raises(BadInput, match="20 vectors of the solver of 43 parameters take 3.4"):
        hessian_top_eigenvalue(model, crossentropy, examples_for(model), memory_gb=3e-6)
