"""SAM and ASAM in a train step: an update takes its gradient at the worst point nearby."""

import keras
import tensorflow as tf

from tf_bdecay.errors import check_number, require, unknown
from tf_bdecay.optim.gradients import dense
from tf_bdecay.sharpness.ascent import ETA, KINDS, RHO, ascent_step, norm, radius


@keras.saving.register_keras_serializable("tf_bdecay")
class SharpnessAware:
    """Sharpness-aware minimization, as an argument of `Trainer.compile`.

        trainer.compile(tf_bdecay.Lamb(...), loss, sharpness_aware=tf_bdecay.SharpnessAware("asam"))

    An update takes the gradient of the loss at the highest point of a ball around the weights,
    which one ascent step finds to first order:

        sam:   epsilon = rho g / ||g||_2                                      (Foret et al., 2021)
        asam:  epsilon = rho T^2 g / ||T g||_2,   T = diag(|theta| + eta)     (Kwon et al., 2021)
        update by grad L(theta + epsilon)

    with g the gradient of the mean loss of the global batch at theta. An update costs twice the
    forward and backward passes, and keeps no state for the next one. In mixed precision, layers
    round theta + epsilon to half precision, which loses much of a small epsilon.

    T is that of `sharpness.perturbation`, for every parameter. Kwon et al.'s code has T = 1 for
    biases, betas among them; here, betas at 0 hardly take part in the ascent.

    Args:
        kind: "sam" or "asam".
        rho: radius of the ball; None for 0.05 (sam) and 0.5 (asam), which the authors use.
        eta: of asam, added to |theta| so that parameters at 0 take part too; None for 0.01.

    Raises:
        BadInput: an unknown kind, a number out of range, or an `eta` for sam.
    """

    def __init__(self, kind="sam", rho=None, eta=None):
        if kind not in KINDS:
            raise unknown("kind of SharpnessAware", kind, KINDS)
        require(
            eta is None or kind == "asam",
            "`eta` of SharpnessAware is asam's: leave it out with kind='sam'. "
            f"Received: eta={eta!r}",
        )
        for name, value in (("rho", rho), ("eta", eta)):
            if value is not None:
                check_number(name, value, of="SharpnessAware", above=0)
        self.kind = kind
        self.rho = RHO[kind] if rho is None else float(rho)
        self.eta = (ETA if eta is None else float(eta)) if kind == "asam" else None

    def steps(self, gradients, values):
        """epsilon for every variable.

        Args:
            gradients: list of tensors g, reduced and not scaled; None for a variable without one.
            values: list of tensors theta.

        Returns:
            List of tensors epsilon in the shapes and dtypes of theta, None where g is None; and a
            boolean scalar, whether they are finite.
        """
        present = [i for i, g in enumerate(gradients) if g is not None]
        chosen = [gradients[i] for i in present]
        radii = [radius(self.kind, values[i], self.eta) for i in present]
        finite = tf.math.is_finite(norm([g * t for g, t in zip(chosen, radii, strict=True)]))
        found = dict(zip(present, ascent_step(chosen, radii, self.rho), strict=True))
        return [found.get(i) for i in range(len(gradients))], finite

    def get_config(self):
        """The arguments that recreate this object."""
        eta = {} if self.eta is None else {"eta": self.eta}
        return {"kind": self.kind, "rho": self.rho, **eta}

    @classmethod
    def from_config(cls, config):
        """Recreates an object from its `get_config`."""
        return cls(**config)


def check_aware(trainer, sharpness_aware):
    """Raises `BadInput` unless it is None or a `SharpnessAware` that can train the model."""
    if sharpness_aware is None:
        return
    require(
        isinstance(sharpness_aware, SharpnessAware),
        "`sharpness_aware` of Trainer.compile must be a tf_bdecay.SharpnessAware, or None. "
        f"Received: sharpness_aware={sharpness_aware!r}",
    )
    for variable in trainer.trainable_variables:
        require(
            not getattr(variable, "overwrite_with_gradient", False),
            f"{variable.path!r} is a float8 scale, which has no gradient to ascend by: use "
            "bfloat16, or no sharpness_aware.",
        )


def gradients_above(sharpness_aware, optimizer, variables, gradients, gradients_at):
    """The local gradients of an update at theta + epsilon; to be called in a replica context.

    Args:
        sharpness_aware: a `SharpnessAware`.
        optimizer: the optimizer, whose `scale_loss` scales the gradients.
        variables: the Keras variables theta, which do not change.
        gradients: list of this replica's gradients at theta, None for a variable without one.
        gradients_at: function of a list of steps from theta (None for a variable without one) that
            returns this replica's gradients there.

    Returns:
        List of gradients, scaled and local like those at theta. They are NaN if the reduced
        gradients at theta are not finite, so that whoever tests them skips the update.
    """
    theta = [tf.convert_to_tensor(v.value) for v in variables]
    steps, finite = sharpness_aware.steps(_of_global_batch(gradients, optimizer), theta)
    return [
        g if g is None else tf.where(finite, dense(g), tf.constant(float("nan"), g.dtype))
        for g in gradients_at(steps)
    ]


def _of_global_batch(gradients, optimizer):
    """Gradients summed over the replicas, without the loss scale."""
    present = {i: dense(g) for i, g in enumerate(gradients) if g is not None}
    scale = tf.convert_to_tensor(optimizer.scale_loss(tf.ones([], "float32")))
    found = [g / tf.cast(scale, g.dtype) for g in present.values()]
    context = tf.distribute.get_replica_context()
    if context.strategy.num_replicas_in_sync > 1:
        found = context.all_reduce(tf.distribute.ReduceOp.SUM, found)
    found = dict(zip(present, found, strict=True))
    return [found.get(i) for i in range(len(gradients))]
