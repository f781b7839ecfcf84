"""A user's own operator on vectors of all parameters, in place of the Hessian."""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from tf_bdecay.errors import require
from tf_bdecay.sharpness.curvature.operator import OfParameters, hessian


class GivenOperator(OfParameters):
    """A user's own operator in place of the Hessian; attributes as in `OfParameters`."""

    of = "operator that was given"

    def __init__(self, given, *arguments):
        super().__init__(*arguments)
        require(
            isinstance(given, LinearOperator) and given.shape == self.shape,
            "`operator` must be a scipy.sparse.linalg.LinearOperator between vectors of the "
            f"model's {self.shape[0]} parameters. Received: {type(given).__name__} of shape "
            f"{getattr(given, 'shape', None)}",
        )
        self._given = given

    def _matvec(self, vector):
        if self.loss is None:
            self.loss = self.network.mean(_loss_kernel, self.stream, self.size)[0]
        self.products += 1
        self.session.progress(self.products, None)
        return np.asarray(self._given.matvec(vector)).reshape(-1).astype(self.dtype)


def measured(model, loss, data, operator=None, **arguments):
    """The operator to measure: the Hessian, or the one given in its place.

    Args:
        model, loss, data: as in `connectivity`.
        operator: a symmetric `LinearOperator` on the vectors of `hessian`; None for the Hessian.
        **arguments: as in `hessian`.

    Raises:
        BadInput: as in `hessian`; an operator of another shape, or one that is not symmetric.
    """
    found = hessian(model, loss, data, **arguments)
    if operator is None:
        return found
    found = GivenOperator(operator, model, found.network, found.stream, found.size, found.session)
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, found.shape[0])).astype(found.dtype)
    products = operator.matvec(left), operator.matvec(right)
    one, other = float(right @ products[0]), float(left @ products[1])
    scale = np.linalg.norm(products[0]) * np.linalg.norm(right)
    require(
        abs(one - other) <= 1e-3 * scale,
        "`operator` must be symmetric: of two vectors v' A u and u' A v differ. "
        f"Received: {one:.6g} and {other:.6g}",
    )
    return found


def _loss_kernel(network, x, y, weights):
    loss = network.weighted_loss(x, y, weights)
    return loss, loss
