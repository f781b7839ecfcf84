"""The Hessian of the mean loss over a stream of examples, as a SciPy linear operator."""

import math

import numpy as np
import tensorflow as tf
from scipy.sparse.linalg import LinearOperator

from tf_bdecay.errors import require
from tf_bdecay.frameworks import quirks
from tf_bdecay.sharpness.over_examples import memory
from tf_bdecay.sharpness.over_examples.network import Network
from tf_bdecay.sharpness.over_examples.stream import Stream
from tf_bdecay.sharpness.over_examples.tape import dense_gradients
from tf_bdecay.sharpness.session import SILENT

_SAME_LOSS = 1e-4  # relative; sums in another order differ by much less


class OfParameters(LinearOperator):
    """A matrix that multiplies vectors of all parameters.

    A vector joins the trainable variables, flattened, in their order.

    Attributes:
        shape: (parameters, parameters).
        dtype: of the variables.
        products: number of vectors multiplied so far.
        loss: the mean loss; None before the first product.
        size: examples per chunk.
        session: a `Session`.
    """

    of = "Hessian"

    def __init__(self, model, network, stream, size, session):
        self.model = model  # kept alive: the network refers to it weakly
        self.network, self.stream = network, stream
        self.size, self.session = size, session
        self._shapes = [tuple(v.shape) for v in network.variables]
        self._ends = np.cumsum([math.prod(shape) for shape in self._shapes])
        dtypes = {np.dtype(v.dtype).name for v in network.variables}
        double = dtypes == {"float64"}
        self.products, self.loss = 0, None
        super().__init__("float64" if double else "float32", (int(self._ends[-1]),) * 2)

    def split(self, vector):
        """A vector of all parameters as a list of arrays shaped as the variables."""
        pieces = np.split(np.asarray(vector).reshape(-1), self._ends[:-1])
        return [piece.reshape(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def shares(self, left, right):
        """The inner product of two vectors by variable, float64; the sum is `left @ right`."""
        products = np.asarray(left, "float64").reshape(-1) * np.asarray(right).reshape(-1)
        return np.add.reduceat(products, np.concatenate([[0], self._ends[:-1]]))

    def _matmat(self, vectors):
        return np.stack([self._matvec(column) for column in vectors.T], axis=1)

    def _adjoint(self):
        return self


class HessianOperator(OfParameters):
    """The symmetric matrix H = d^2 L / dtheta^2, L the mean loss of all examples.

    A product reads all examples once and keeps none of them. Attributes are those of
    `OfParameters`.
    """

    def _matvec(self, vector):
        pieces = [
            tf.constant(piece, v.dtype)
            for piece, v in zip(self.split(vector), self.network.variables, strict=True)
        ]
        loss, product = self.network.mean(
            product_kernel, self.stream, self.size, arguments=(pieces,)
        )
        self._check_same(loss)
        self.products += 1
        self.session.progress(self.products, None)
        return np.concatenate([p.numpy().reshape(-1) for p in product]).astype(self.dtype)

    def _check_same(self, loss):
        before, self.loss = self.loss, loss
        require(
            before is None or abs(loss - before) <= _SAME_LOSS * max(abs(before), 1e-3),
            f"The mean loss was {before} at first and {loss} when the data were read again: "
            "measure a data set that repeats itself exactly, without random augmentation and "
            "without shuffling that changes which examples it has.",
        )


def hessian(
    model,
    loss,
    data,
    training=False,
    *,
    examples_at_once=None,
    memory_gb=None,
    full_precision=True,
    roles=None,
    session=SILENT,
) -> HessianOperator:
    """The Hessian of the mean loss over all examples, as a `scipy.sparse.linalg.LinearOperator`.

        (H v)_i = sum_j d^2 L / (dtheta_i dtheta_j) v_j

    A product is exact: the gradient of <gradient, v>, summed over all examples (reverse over
    reverse, which measured faster here than forward over reverse). The operator works with SciPy's
    solvers: `eigsh`, `cg`, `expm_multiply`, ...

    Args:
        model, loss, examples_at_once, memory_gb, full_precision, roles, session: as in
            `connectivity`.
        data: as in `connectivity`; it is read once for each product.
        training: whether the model runs in training mode, where all examples are one batch.

    Returns:
        A `HessianOperator`.

    Raises:
        BadInput: as in `connectivity`. While products are computed: data that do not repeat
            themselves, NaN or infinity (`NotFinite`).

    Example:

        H = tf_bdecay.sharpness.hessian(model, loss, (x, y))
        scipy.sparse.linalg.eigsh(H, k=3, which="BE", return_eigenvectors=False)
    """
    network = Network(model, loss, training, roles, full_precision)
    stream = Stream(data)
    size = memory.examples_at_once(network, stream, 8, examples_at_once, memory_gb)
    return HessianOperator(model, network, stream, size, session)


def product_kernel(network, x, y, weights, vectors):
    """Weighted sum of losses, and its Hessian times a vector, for `Network.mean`."""
    values = network.values()
    with tf.GradientTape() as outer:
        outer.watch(values)
        with tf.GradientTape() as inner:
            inner.watch(values)
            with quirks.twice_differentiable_moments():
                loss = network.weighted_loss(x, y, weights, values)
        gradients = dense_gradients(inner.gradient(loss, values), network.variables)
        slope = tf.add_n(
            [
                tf.reduce_sum(tf.cast(g * v, loss.dtype))
                for g, v in zip(gradients, vectors, strict=True)
            ]
        )
    products = outer.gradient(slope, values)
    return loss, dense_gradients(products, network.variables)
