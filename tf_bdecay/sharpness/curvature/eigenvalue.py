"""lambda(H), the largest eigenvalue of the Hessian, by SciPy's Lanczos solver."""

import dataclasses
import math

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from tf_bdecay.errors import check_count, check_number, require
from tf_bdecay.sharpness.curvature.given import measured
from tf_bdecay.sharpness.curvature.lanczos import lanczos, ritz
from tf_bdecay.sharpness.curvature.trace import other_than_hessian
from tf_bdecay.sharpness.over_examples.memory import check_vectors
from tf_bdecay.sharpness.results.result import Result
from tf_bdecay.sharpness.session import SILENT


@dataclasses.dataclass(frozen=True)
class EigenvalueResult(Result):
    """The largest eigenvalues of the Hessian; the shares are of the first.

    The share of a variable is `<v_l, (H v)_l>`, with v the unit eigenvector: lambda times the part
    of |v|^2 in that variable. The shares add up to lambda.

    Attributes:
        eigenvalues: float64 [k], descending.
        residuals: float64 [k], |H v - lambda v|; a true eigenvalue lies within this of each.
        eigenvectors: list of k lists of arrays shaped as the variables, of unit norm together.
        converged: whether every residual is within twice the tolerance. The solver stops at its own
            estimates of the residuals, which rounding makes a little too low.
        tolerance: largest residual, as a fraction of the largest eigenvalue's absolute value.
        products: number of Hessian-vector products computed.
        of: the matrix that was measured: the Hessian, or an operator that was given.
    """

    eigenvalues: np.ndarray
    residuals: np.ndarray
    eigenvectors: list = dataclasses.field(repr=False)
    converged: bool
    tolerance: float
    products: int
    of: str = "Hessian"

    symbol, name = "lambda(H)", "Largest eigenvalue of the Hessian"

    @property
    def log(self):
        """Natural logarithm of the largest eigenvalue; None if that is not above 0."""
        return math.log(self.total) if self.total > 0 else None

    def _remark(self):
        state = "" if self.converged else f", NOT CONVERGED to {self.tolerance:g}"
        found = f"; residual {self.residuals[0]:.2g}{state}, {self.products} products"
        return found + other_than_hessian(self.of)

    def _facts(self):
        return {
            "eigenvalues": list(map(float, self.eigenvalues)),
            "residuals": list(map(float, self.residuals)),
            "converged": self.converged,
            "tolerance": self.tolerance,
            "products": self.products,
            "log": self.log,
        }


def hessian_top_eigenvalue(
    model, loss, data, k=1, tolerance=1e-3, seed=0, max_restarts=100, *, session=SILENT, **arguments
) -> EigenvalueResult:
    """The k largest (algebraic) eigenvalues of the Hessian of the mean loss, with eigenvectors.

        H v = lambda v      by scipy.sparse.linalg.eigsh(which="LA")

    Args:
        model, loss, data: as in `connectivity`.
        k: how many, at most the number of parameters.
        tolerance: residual norm, relative to the largest eigenvalue, at which the solver stops.
            Products of float32 models are good to about 1e-6.
        seed: of the start vector.
        max_restarts: how often the solver may restart, at about 20 products each. What it has found
            by then is returned with its residuals and `converged=False`.
        session: as in `connectivity`; its steps are products, of unknown total.
        **arguments: as in `hessian_trace`.

    Returns:
        An `EigenvalueResult`.

    Raises:
        BadInput: as in `hessian`; numbers out of range.

    Example:

        result = tf_bdecay.sharpness.hessian_top_eigenvalue(model, loss, (x, y), k=3)
        result.eigenvalues, result.residuals
    """
    check_count("k", k)
    check_number("tolerance", tolerance, above=0)
    check_count("seed", seed, least=0)
    check_count("max_restarts", max_restarts)
    operator = measured(model, loss, data, session=session, **arguments)
    size = operator.shape[0]
    require(
        k <= size,
        f"The model has {size} parameters, so no more eigenvalues. Received: k={k}",
    )
    what = "vectors of the solver", "find fewer eigenvalues, or " if k > 10 else ""
    check_vectors(min(max(2 * k + 1, 20), size), operator, what, arguments.get("memory_gb"))
    values, vectors = _solve(operator, k, tolerance, seed, max_restarts)
    products = [operator.matvec(v) for v in vectors]
    residuals = np.array(
        [
            np.linalg.norm(np.asarray(p, "float64") - value * np.asarray(v, "float64"))
            for p, value, v in zip(products, values, vectors, strict=True)
        ]
    )
    partition = operator.network.partition
    return EigenvalueResult(
        partition=partition,
        shares=operator.shares(vectors[0], products[0]),
        errors=np.full(len(partition.groups), np.nan),
        loss=operator.loss,
        examples=operator.stream.count(),
        training=operator.network.training,
        eigenvalues=values,
        residuals=residuals,
        eigenvectors=[operator.split(v) for v in vectors],
        converged=bool((residuals <= 2 * tolerance * max(abs(values[0]), 1e-12)).all()),
        tolerance=tolerance,
        products=operator.products,
        of=operator.of,
    )


def _solve(operator, k, tolerance, seed, max_restarts):
    """Eigenvalues [k], descending, and their unit vectors, whether they converged or not."""
    size = operator.shape[0]
    start = np.random.default_rng(seed).standard_normal(size).astype(operator.dtype)
    if size <= max(2 * k + 1, 20):  # smaller than the solver's own subspace
        values, vectors = np.linalg.eigh(operator.matmat(np.eye(size, dtype=operator.dtype)))
        return values[::-1][:k].astype("float64"), list(vectors.T[::-1][:k])
    try:
        values, vectors = eigsh(
            operator, k=k, which="LA", tol=tolerance, v0=start, maxiter=max_restarts
        )
        found = list(vectors.T)
    except ArpackNoConvergence as stop:
        values, found = stop.eigenvalues, list(stop.eigenvectors.T)
        if len(found) < k:  # the solver returns no unfinished vectors
            alpha, beta, basis = lanczos(operator.matvec, start, 2 * k + 20)
            values, vectors = ritz(alpha, beta)
            values, found = values[-k:], list((basis @ vectors[:, -k:]).T)
    order = np.argsort(values)[::-1]
    found = [np.asarray(found[i]) / np.linalg.norm(found[i]) for i in order]
    return np.asarray(values, "float64")[order], found
