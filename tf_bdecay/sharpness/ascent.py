"""How far the loss rises within a small ball around the weights: SAM's and ASAM's sharpness."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from tf_bdecay.errors import check_count, check_number, unknown
from tf_bdecay.sharpness.connectivity_sharpness import gradient_kernel
from tf_bdecay.sharpness.over_examples import memory
from tf_bdecay.sharpness.over_examples.network import Network
from tf_bdecay.sharpness.over_examples.stream import Stream
from tf_bdecay.sharpness.over_examples.tape import dense_gradients
from tf_bdecay.sharpness.results.result import Result
from tf_bdecay.sharpness.session import SILENT

KINDS = ("sam", "asam")
RHO = {"sam": 0.05, "asam": 0.5}  # what Foret et al. and Kwon et al. train CIFAR-10 with
ETA = 0.01  # Kwon et al.


@dataclasses.dataclass(frozen=True)
class PerturbationResult(Result):
    """The rise of the loss after one ascent step, split over variables, and the largest rise seen.

    A variable's share is `(g_l(theta) + g_l(theta + epsilon)) / 2 . epsilon_l`: its part of the
    rise along the step, exact to second order. `remainder` is the rest of the rise.

    Attributes:
        kind: "sam" or "asam".
        rho: the radius of the ball.
        rise: L(theta + epsilon) - L(theta) after the one step; the total of this result.
        maximum: the largest rise seen in the ball, after the one step or any of the several.
        steps: the number of projected ascent steps behind `maximum`.
    """

    kind: str
    rho: float
    rise: float
    maximum: float
    steps: int

    name = "Rise of the loss"

    @property
    def symbol(self):
        return self.kind.upper()

    @property
    def total(self):
        """The rise after one ascent step."""
        return self.rise

    @property
    def remainder(self):
        """The part of the rise that no share covers: terms of third order and above."""
        return self.rise - float(np.sum(self.shares))

    @property
    def _sums(self):
        sums = np.array(self.shares @ self.partition.matrix)
        sums[-1] = self.rise
        return sums

    def _remark(self):
        return (
            f"; rho {self.rho:g}, at most {self.maximum:.4g} in {self.steps} steps, "
            f"{self.remainder:.2g} of it in no share"
        )

    def _facts(self):
        return {
            "rho": self.rho,
            "maximum": self.maximum,
            "steps": self.steps,
            "remainder": self.remainder,
        }


def perturbation(
    model,
    loss,
    data,
    kind="sam",
    rho=None,
    steps=10,
    eta=ETA,
    training=False,
    *,
    examples_at_once=None,
    memory_gb=None,
    full_precision=True,
    roles=None,
    session=SILENT,
) -> PerturbationResult:
    """The rise of the mean loss within a ball around the weights, by gradient ascent.

        sam:   epsilon = rho g / |g|              |epsilon| <= rho              (Foret et al., 2021)
        asam:  epsilon = rho T^2 g / |T g|        |T^-1 epsilon| <= rho         (Kwon et al., 2021)

    with T = diag(|theta| + eta) and g the gradient of the mean loss over all examples. Projected
    ascent looks for the maximum in the ball, in steps of 2 rho / `steps` along the same directions;
    what it finds is a lower bound.

    Args:
        model, loss, data, examples_at_once, memory_gb, full_precision, roles, session: as in
            `connectivity`.
        kind: "sam" or "asam".
        rho: radius of the ball; None for 0.05 (sam) and 0.5 (asam), which the authors use.
        steps: ascent steps for the maximum, each of which reads all examples; 0 to take only the
            one step.
        eta: added to |theta| in T, so that parameters at 0 move too.
        training: whether the model runs in training mode, where all examples are one batch.

    Returns:
        A `PerturbationResult`; its standard error is over examples, with the step held fixed.

    Raises:
        BadInput: as in `connectivity`; an unknown kind; numbers out of range.

    Example:

        result = tf_bdecay.sharpness.perturbation(model, loss, (x, y), kind="asam")
        result.rise, result.maximum
    """
    if kind not in KINDS:
        raise unknown("kind of perturbation", kind, KINDS)
    rho = RHO[kind] if rho is None else rho
    check_number("rho", rho, above=0)
    check_number("eta", eta, above=0)
    check_count("steps", steps, least=0)
    network = Network(model, loss, training, roles, full_precision)
    stream = Stream(data)
    size = memory.examples_at_once(network, stream, 3, examples_at_once, memory_gb)
    total = steps + 2

    def told(done):
        session.progress(done, total)

    radii = [radius(kind, v.value, eta) for v in network.variables]
    kept = session.restore(kind)
    if kept:
        figures = {name: kept[name] for name in ("done", "before", "rise", "square", "highest")}
        shares, (gradients, position) = kept["shares"], _vectors(kept, len(radii))
    else:
        figures, shares, gradients, position = _one_step(network, stream, size, radii, rho, told)
        session.keep(kind, functools.partial(_state, figures, shares, gradients, position))
        told(2)
    for done in range(int(figures["done"]), steps + 1):
        move = ascent_step(gradients, radii, 2 * rho / steps)
        position = [p + m for p, m in zip(position, move, strict=True)]
        position = _projected(position, radii, rho)
        value, (gradients,) = network.mean(_moved_kernel, stream, size, arguments=(position,))
        highest = max(figures["highest"], value - figures["before"])
        figures = dict(figures, highest=highest, done=done + 1)
        session.keep(kind, functools.partial(_state, figures, shares, gradients, position))
        told(done + 2)
    n, rise = stream.count(), float(figures["rise"])
    errors = np.full(len(network.partition.groups), np.nan)
    if n > 1:
        errors[-1] = max(float(figures["square"]) - rise**2, 0.0) ** 0.5 / (n - 1) ** 0.5
    return PerturbationResult(
        partition=network.partition,
        shares=np.array(shares),
        errors=errors,
        loss=float(figures["before"]),
        examples=n,
        training=training,
        kind=kind,
        rho=float(rho),
        rise=rise,
        maximum=float(figures["highest"]),
        steps=steps,
    )


def _one_step(network, stream, size, radii, rho, told):
    """Takes the one ascent step, and prepares the further ones, which begin at the weights.

    Args:
        told: called with 1 after the first pass over the examples.

    Returns:
        Dict of figures, list of shares, gradients at the weights, and epsilon = 0.
    """
    before, gradients = network.mean(gradient_kernel, stream, size)
    told(1)
    step = ascent_step(gradients, radii, rho)
    after, (at_step, square) = network.mean(_rise_kernel, stream, size, arguments=(step,))
    shares = [
        float(tf.reduce_sum(tf.cast((a + b) / 2 * e, "float64")))
        for a, b, e in zip(gradients, at_step, step, strict=True)
    ]
    rise = after - before
    figures = dict(done=1, before=before, rise=rise, square=float(square), highest=rise)
    return figures, shares, gradients, [tf.zeros_like(e) for e in step]


def radius(kind, value, eta):
    """The diagonal of T for one variable: 1 (sam), |theta| + eta (asam), in the variable's dtype.

    It applies to every parameter, as in Kwon et al.'s formula; their code keeps T = 1 for biases.
    """
    return tf.ones_like(value) if kind == "sam" else tf.abs(value) + tf.constant(eta, value.dtype)


def norm(tensors):
    """The 2-norm of all tensors together, a float64 scalar."""
    return tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(tf.cast(t, "float64"))) for t in tensors]))


def ascent_step(gradients, radii, length):
    """epsilon = length T^2 g / |T g|; 0 where the gradient is 0.

    Args:
        gradients: list of tensors g.
        radii: list of the diagonals of T, from `radius`.
        length: rho.

    Returns:
        List of tensors in the gradients' shapes and dtypes.
    """
    scale = tf.math.divide_no_nan(
        tf.constant(length, "float64"),
        norm([g * t for g, t in zip(gradients, radii, strict=True)]),
    )
    return [
        tf.square(t) * g * tf.cast(scale, g.dtype) for g, t in zip(gradients, radii, strict=True)
    ]


def _projected(position, radii, rho):
    """The point, scaled back onto the ball |T^-1 epsilon| <= rho if it lies outside."""
    length = norm([p / t for p, t in zip(position, radii, strict=True)])
    scale = tf.minimum(tf.constant(1.0, "float64"), tf.math.divide_no_nan(float(rho), length))
    scale = tf.where(length > 0, scale, tf.ones_like(scale))
    return [p * tf.cast(scale, p.dtype) for p in position]


def _state(figures, shares, gradients, position):
    """The state from which an ascent resumes."""
    vectors = {f"gradient{i:05d}": g.numpy() for i, g in enumerate(gradients)}
    vectors |= {f"position{i:05d}": p.numpy() for i, p in enumerate(position)}
    return {name: np.asarray(value) for name, value in figures.items()} | {
        "shares": np.array(shares),
        **vectors,
    }


def _vectors(state, count):
    """Gradients and position from a state."""
    return [
        [tf.constant(state[f"{name}{i:05d}"]) for i in range(count)]
        for name in ("gradient", "position")
    ]


def _moved_losses(network, x, y, weights, step):
    """The examples' losses at theta + step, their weighted sum, and its gradient."""
    moved = [v + e for v, e in zip(network.values(), step, strict=True)]
    with tf.GradientTape() as tape:
        tape.watch(moved)
        losses = network.losses(x, y, weights.shape[0], moved)
        loss = tf.reduce_sum(losses * tf.cast(weights, losses.dtype))
    return losses, loss, dense_gradients(tape.gradient(loss, moved), network.variables)


def _moved_kernel(network, x, y, weights, step):
    """Weighted sum of losses at theta + step, and its gradient, for `Network.mean`."""
    _, loss, gradients = _moved_losses(network, x, y, weights, step)
    return loss, (gradients,)


def _rise_kernel(network, x, y, weights, step):
    """As `_moved_kernel`, with the weighted sum of the examples' squared rises."""
    losses, loss, gradients = _moved_losses(network, x, y, weights, step)
    rises = losses - network.losses(x, y, weights.shape[0])
    return loss, (gradients, tf.reduce_sum(tf.square(rises) * tf.cast(weights, rises.dtype)))
