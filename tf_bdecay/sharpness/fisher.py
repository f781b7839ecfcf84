"""The exact Fisher-Rao norm of a network: one Jacobian-vector and one vector-Jacobian product."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from tf_bdecay.errors import check_flag, require
from tf_bdecay.sharpness.over_examples import memory, objective
from tf_bdecay.sharpness.over_examples.network import Network
from tf_bdecay.sharpness.over_examples.stream import Stream
from tf_bdecay.sharpness.over_examples.tape import dense_gradients, with_tangents
from tf_bdecay.sharpness.results.result import Result
from tf_bdecay.sharpness.session import SILENT

# Functions of keras.losses, as `compile` finds them by name.
_TAKE_PROBABILITIES = (
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.categorical_crossentropy,
    keras.losses.binary_crossentropy,
    keras.losses.categorical_focal_crossentropy,
    keras.losses.binary_focal_crossentropy,
    objective.crossentropy,
)
_BINARY = (keras.losses.binary_crossentropy, keras.losses.binary_focal_crossentropy)
_OF_BINARY = (keras.losses.BinaryCrossentropy, keras.losses.BinaryFocalCrossentropy)
_OFF = 1e-2  # largest mean distance of a sum of probabilities from 1; half precision has 4e-3


@dataclasses.dataclass(frozen=True)
class FisherRaoResult(Result):
    """The Fisher-Rao norm: `norm` is FR; the total and the shares are of FR^2.

    Attributes:
        biases: whether biases and betas are included.
    """

    biases: bool

    symbol, name = "FR^2", "Fisher-Rao norm squared"

    @property
    def norm(self):
        """FR = sqrt(theta^T F theta)."""
        return math.sqrt(max(self.total, 0.0))

    @property
    def norm_standard_error(self):
        """Standard error of the norm, to first order from that of its square."""
        return self.standard_error / (2 * self.norm) if self.norm else float("nan")

    def _remark(self):
        left = "" if self.biases else ", biases left out"
        return f"; norm FR {self.norm:.4g} +- {self.norm_standard_error:.1g}{left}"

    def _facts(self):
        return {
            "norm": self.norm,
            "norm_standard_error": self.norm_standard_error if self.norm else None,
            "biases": self.biases,
        }


def fisher_rao(
    model,
    loss,
    data,
    biases=True,
    from_logits=None,
    training=False,
    *,
    examples_at_once=None,
    memory_gb=None,
    full_precision=True,
    roles=None,
    session=SILENT,
) -> FisherRaoResult:
    """Exact Fisher-Rao norm of a classifier, with labels from the model's own prediction.

        FR^2 = theta^T F theta = E_x Var_{y ~ p(x)} (u_y),   u = J theta   (eq. 8)

    J is the Jacobian of the logits (Liang et al., 2019). Nothing is sampled, and no matrix over all
    parameters is formed. FR^2 is the sum over variables of `<theta_l, (F theta)_l>`, which may be
    negative.

    Args:
        model, loss, data, examples_at_once, memory_gb, full_precision, roles, session: as in
            `connectivity`. Outputs are [examples, classes], or [examples, 1] for two classes.
        biases: whether biases and betas count as parameters; Liang et al. (2019) have none.
        from_logits: whether the model outputs logits, or probabilities; None to ask the loss.
        training: whether the model runs in training mode, where all examples are one batch.

    Returns:
        A `FisherRaoResult`; its standard error, over examples, is for the total only.

    Raises:
        BadInput: as in `connectivity`; outputs of another shape; a binary loss with several
            outputs; outputs that should be probabilities and are not; a loss that does not say what
            the outputs are.

    Example:

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        tf_bdecay.sharpness.fisher_rao(model, loss, (x, y)).norm
    """
    check_flag("biases", biases)
    network = Network(model, loss, training, roles, full_precision)
    if from_logits is None:
        from_logits = _loss_takes_logits(network.loss)
    check_flag("from_logits", from_logits)
    stream = Stream(data)
    size = memory.examples_at_once(network, stream, 6, examples_at_once, memory_gb)
    counted = [biases or v.role not in ("bias", "beta") for v in network.roles.variables]
    kernel = logits_kernel if from_logits else probabilities_kernel
    loss_value, (square, of_squares, shares, off) = network.mean(
        kernel,
        stream,
        size,
        arguments=(tf.constant(counted),),
        session=session,
        key="fisher_rao",
    )
    require(
        from_logits or float(off) <= _OFF,
        "The outputs are no class probabilities, each in [0, 1] and 1 together: pass "
        "from_logits=True if they are logits. Received: outputs whose absolute values miss the sum "
        f"of 1 by {float(off):.3g} in the mean",
    )
    n = stream.examples
    errors = np.full(len(network.partition.groups), np.nan)
    if n > 1:
        errors[-1] = math.sqrt(max(float(of_squares) - float(square) ** 2, 0.0) / (n - 1))
    return FisherRaoResult(
        partition=network.partition,
        shares=shares.numpy(),
        errors=errors,
        loss=loss_value,
        examples=n,
        training=training,
        biases=biases,
    )


def _loss_takes_logits(loss):
    """Whether a Keras cross-entropy expects logits."""
    if objective.function_of(loss) in _TAKE_PROBABILITIES:
        return False
    found = getattr(loss, "from_logits", None)
    require(
        isinstance(found, bool),
        "The Fisher-Rao norm is of class probabilities, and this loss does not say whether the "
        "model gives logits: pass from_logits=True or False. Received: loss="
        f"{getattr(loss, 'name', None) or getattr(loss, '__name__', None) or repr(loss)}",
    )
    return found


def _kernel(from_logits, network, x, y, weights, counted):
    values = network.values()
    tangents = [v * tf.cast(counted[i], v.dtype) for i, v in enumerate(values)]
    with tf.GradientTape() as tape:
        tape.watch(values)

        def model():
            outputs = network.outputs(x, values)
            return outputs, _scores(outputs, from_logits, network.loss)

        outputs, scores, u = with_tangents(model, values, tangents)
        p = tf.nn.softmax(scores) if from_logits else scores
        if from_logits:
            u -= tf.reduce_sum(p * u, 1, keepdims=True)
            pullback = p * u
        else:
            u = tf.math.divide_no_nan(u, p)  # d log p = dp / p
            pullback = u
        variances = tf.reduce_sum(p * tf.square(u), 1)
        weights = tf.cast(weights, scores.dtype)
        pulled = tf.reduce_sum(tf.stop_gradient(pullback) * scores * weights[:, tf.newaxis])
    transposed = dense_gradients(tape.gradient(pulled, values), network.variables)
    off = tf.abs(tf.reduce_sum(tf.abs(p), 1) - 1)  # negative values and logits show too
    losses = objective.example_losses(network.loss, y, outputs, weights.shape[0])
    return tf.reduce_sum(losses * tf.cast(weights, losses.dtype)), (
        tf.reduce_sum(variances * weights),
        tf.reduce_sum(tf.square(variances) * weights),
        tf.stack(
            [
                tf.reduce_sum(tf.cast(t * g, "float64"))
                for t, g in zip(tangents, transposed, strict=True)
            ]
        ),
        tf.reduce_sum(off * weights),
    )


def logits_kernel(network, x, y, weights, counted):
    """Weighted sums of loss, Var(u), Var(u)^2, shares and |sum |p| - 1|, for `Network.mean`."""
    return _kernel(True, network, x, y, weights, counted)


def probabilities_kernel(network, x, y, weights, counted):
    """As `logits_kernel`, for a model that outputs probabilities."""
    return _kernel(False, network, x, y, weights, counted)


def _scores(outputs, from_logits, loss):
    """The outputs as logits or probabilities of two or more classes, at least float32."""
    require(
        isinstance(outputs, tf.Tensor) and outputs.shape.rank == 2,
        "The Fisher-Rao norm is of a classifier's outputs [examples, classes]. Received: outputs "
        f"of shape {getattr(outputs, 'shape', None) or type(outputs).__name__}",
    )
    binary = isinstance(loss, _OF_BINARY) or objective.function_of(loss) in _BINARY
    require(
        outputs.shape[1] == 1 or not binary,
        "The Fisher-Rao norm is of one choice among classes, and a binary cross-entropy of several "
        "outputs is of as many choices: use a model with one output, or a categorical loss. "
        f"Received: outputs of shape {outputs.shape}",
    )
    scores = objective.at_least_float32(outputs)
    if scores.shape[1] != 1:
        return scores
    other = tf.zeros_like(scores) if from_logits else 1 - scores
    return tf.concat([other, scores], 1)
