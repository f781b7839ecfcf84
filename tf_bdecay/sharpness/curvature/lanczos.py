"""Lanczos with full reorthogonalization; SciPy's own does not expose its tridiagonal matrix."""

import numpy as np
from scipy.linalg import eigh_tridiagonal


def lanczos(multiply, start, steps):
    """Tridiagonal matrix of a symmetric operator on the Krylov space of a vector.

        H Q = Q T + beta_k q_(k+1) e_k^T

    Args:
        multiply: function vector -> H vector.
        start: vector, not 0.
        steps: the largest k; it is smaller if the space is exhausted.

    Returns:
        alpha [k] and beta [k], both float64, and Q [parameters, k]. The last beta is the norm of
        the remainder.
    """
    basis = np.empty((steps, start.size), start.dtype)
    alpha, beta = np.zeros(steps), np.zeros(steps)
    vector = start / np.linalg.norm(start)
    for k in range(steps):
        basis[k] = vector
        product = multiply(vector)
        alpha[k] = np.dot(product.astype("float64"), vector.astype("float64"))
        for _ in range(2):  # twice is enough (Kahan)
            product = product - basis[: k + 1].T @ (basis[: k + 1] @ product)
        beta[k] = np.linalg.norm(product.astype("float64"))
        scale = np.abs(alpha[: k + 1]).max() + beta[: k + 1].max()
        if beta[k] <= scale * np.finfo(start.dtype).eps * 10 or k + 1 == start.size:
            return alpha[: k + 1], beta[: k + 1], basis[: k + 1].T
        vector = (product / beta[k]).astype(start.dtype)
    return alpha, beta, basis.T


def ritz(alpha, beta):
    """Eigenvalues of the tridiagonal matrix, ascending, and its eigenvectors [k, k]."""
    if len(alpha) == 1:
        return alpha.copy(), np.ones((1, 1))
    return eigh_tridiagonal(alpha, beta[:-1])
