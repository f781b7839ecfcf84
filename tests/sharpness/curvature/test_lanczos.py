"""Lanczos finds NumPy's dense eigenvalues for matrices with any spectrum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_bdecay.sharpness.curvature.lanczos import lanczos, ritz


def matrix_of(eigenvalues, seed=0):
    """A dense symmetric matrix with these eigenvalues."""
    size = len(eigenvalues)
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))
    return basis * eigenvalues @ basis.T


def start_of(size, seed=1):
    return np.random.default_rng(seed).normal(size=size)


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 100))
def test_the_relation_that_defines_it(size, steps, seed):
    """H Q = Q T + beta_k q e_k^T with Q orthonormal, q orthogonal to Q and |q| = 1."""
    matrix = matrix_of(np.random.default_rng(seed).normal(size=size), seed)
    alpha, beta, basis = lanczos(lambda v: matrix @ v, start_of(size, seed), steps)
    k = len(alpha)
    assert k <= min(size, steps) and len(beta) == k and basis.shape == (size, k)
    np.testing.assert_allclose(basis.T @ basis, np.eye(k), atol=1e-10)
    tridiagonal = np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1)
    rest = matrix @ basis - basis @ tridiagonal
    np.testing.assert_allclose(rest[:, :-1], 0, atol=1e-9)
    assert np.linalg.norm(rest[:, -1]) == pytest.approx(beta[-1], abs=1e-9)
    np.testing.assert_allclose(basis.T @ rest, 0, atol=1e-9)


def test_all_steps_give_all_eigenvalues():
    eigenvalues = np.array([-3.0, -1.0, 0.0, 0.5, 2.0, 10.0])
    matrix = matrix_of(eigenvalues)
    alpha, beta, basis = lanczos(lambda v: matrix @ v, start_of(6), 6)
    values, vectors = ritz(alpha, beta)
    np.testing.assert_allclose(values, eigenvalues, atol=1e-10)
    eigenvectors = basis @ vectors
    np.testing.assert_allclose(matrix @ eigenvectors, eigenvectors * values, atol=1e-10)


def test_it_ends_where_the_krylov_space_does():
    """Two distinct eigenvalues: two dimensions, whatever the size."""
    matrix = matrix_of(np.array([1.0] * 10 + [4.0] * 10))
    alpha, beta, basis = lanczos(lambda v: matrix @ v, start_of(20), 15)
    assert len(alpha) == 2 and beta[-1] < 1e-10
    np.testing.assert_allclose(ritz(alpha, beta)[0], [1.0, 4.0], rtol=1e-10)
    multiples = []
    one = lanczos(lambda v: multiples.append(1) or 3.0 * v, start_of(20), 15)
    values, vectors = ritz(*one[:2])
    np.testing.assert_allclose(values, [3.0])
    assert vectors.shape == (1, 1) and abs(vectors[0, 0]) == 1
    assert len(multiples) == 1  # no product for nothing


def test_the_largest_comes_first():
    eigenvalues = np.linspace(0, 1, 200) ** 4
    eigenvalues[-1] = 5.0
    matrix = matrix_of(eigenvalues)
    values, _ = ritz(*lanczos(lambda v: matrix @ v, start_of(200), 12)[:2])
    assert values[-1] == pytest.approx(5.0, rel=1e-8)
    assert values[0] >= -1e-9  # Ritz values lie within the spectrum


def test_basis_stays_orthogonal_in_float32():
    """Without reorthogonalization copies of the largest eigenvalue would appear."""
    matrix = matrix_of(10.0 ** np.linspace(-4, 2, 60)).astype("float32")
    start = start_of(60).astype("float32")
    alpha, beta, basis = lanczos(lambda v: matrix @ v, start, 40)
    assert basis.dtype == np.float32 and alpha.dtype == beta.dtype == np.float64
    np.testing.assert_allclose(basis.T @ basis, np.eye(len(alpha)), atol=1e-5)
    values, _ = ritz(alpha, beta)
    assert values[-1] == pytest.approx(100, rel=1e-4) and values[-2] < 90
