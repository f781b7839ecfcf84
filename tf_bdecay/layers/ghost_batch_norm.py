"""Ghost batch normalization: batch normalization within small groups of a large batch."""

import math
import numbers

import keras
from keras import ops

from tf_bdecay.batch_checks import divided
from tf_bdecay.errors import check_count, check_number, require, unknown
from tf_bdecay.layers import fused, normalize
from tf_bdecay.layers.neighbours import around

PARTIAL = ("error", "smaller")


@keras.saving.register_keras_serializable("tf_bdecay")
class GhostBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization with the statistics of each ghost batch (Hoffer et al., 2017).

    In training, each `ghost_batch_size` consecutive examples are normalized by their own mean and
    biased variance, over examples and positions, channel by channel:
    `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`. So a batch of 8192 keeps the noise,
    and the regularisation, of batches of 32. Replicas hold consecutive parts of a batch. If a part
    is smaller than a ghost batch, has a size known before the graph runs, and neighbours together
    hold whole ghost batches, the neighbours share their statistics (two numbers per channel), and
    the ghost batches are those of one device.

    The moving statistics take one momentum step per call, towards the means over the ghost batches
    of their means and variances (weighted by examples if one is smaller). Replicas average theirs,
    so their copies stay equal. (Hoffer's algorithm compounds the momentum over the ghost batches;
    ours does not depend on how the batch is split into replicas.) If the new mean or variance of a
    call is not finite, neither moves; the same holds for one of several replicas or micro-batches,
    which then contributes the old value to the average. At inference, or with `trainable=False`,
    the moving statistics normalize batches of any size, as in Keras.

    Statistics are float32 in mixed precision and float64 in float64. It is a
    `keras.layers.BatchNormalization` with the same variables in the same order, so `set_weights`
    of one takes the `get_weights` of the other.

    Args:
        ghost_batch_size: int >= 1, examples in a ghost batch.
        partial: what happens to a training batch that `ghost_batch_size` does not divide: "error",
            or "smaller", which puts the examples left over into one smaller ghost batch.
        axis: int, the axis of the channels; not the batch's.
        momentum: float in [0, 1], the share of the moving statistics that a step keeps.
        epsilon: float >= 0, added to the variance.
        **kwargs: the other arguments of `keras.layers.BatchNormalization`, with its defaults:
            `center`, `scale`, initializers, regularizers, constraints, `name`, `dtype`.
            `synchronized` and `renorm` must be False.

    Call arguments:
        inputs: tensor [batch, ...] of rank 2 or more.
        training: bool, whether to normalize by the ghost batches' statistics and to move the
            moving ones.
        mask: must be None.

    Raises:
        BadInput: an argument out of range; when called, a mask, or in training a batch that does
            not divide. A batch whose size only the running graph knows raises
            `tf.errors.InvalidArgumentError` instead.
    """

    def __init__(
        self,
        ghost_batch_size=32,
        *,
        partial="error",
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        synchronized=False,
        **kwargs,
    ):
        _check_arguments(ghost_batch_size, axis, momentum, epsilon)
        if partial not in PARTIAL:
            raise unknown("value of `partial`", partial, PARTIAL)
        require(
            not synchronized,
            "GhostBatchNormalization cannot be synchronized: statistics of the whole batch are "
            "what it avoids; use keras.layers.BatchNormalization(synchronized=True). "
            f"Received: synchronized={synchronized!r}",
        )
        require(
            not kwargs.get("renorm"),
            "GhostBatchNormalization has no batch renormalization: leave `renorm` out, or use "
            "keras.layers.BatchNormalization(renorm=True). Received: renorm=True",
        )
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, **kwargs)
        self.ghost_batch_size = int(ghost_batch_size)
        self.partial = partial

    def build(self, input_shape):
        rank = len(input_shape)
        require(
            rank >= 2 and -rank < self.axis < rank and self.axis != 0,
            f"{self._kind()} needs inputs [batch, ...] of which axis {self.axis}, not the first, "
            f"holds the channels. Received: inputs of shape {tuple(input_shape)}",
        )
        self._channel_axis = self.axis % rank
        require(
            input_shape[self.axis] is not None,
            f"{self._kind()} needs to know the number of channels, on axis {self.axis}. "
            f"Received: inputs of shape {tuple(input_shape)}",
        )
        positions = [n for i, n in enumerate(input_shape) if i not in (0, self._channel_axis)]
        require(
            self.ghost_batch_size > 1 or None in positions or math.prod(positions) > 1,
            f"{self._kind()} with ghost_batch_size=1 has one value a channel to normalize, so its "
            "output would be beta whatever the input: use a ghost batch of 2 or more. "
            f"Received: inputs of shape {tuple(input_shape)}",
        )
        super().build(input_shape)

    def add_weight(self, *args, trainable=True, **kwargs):
        if not trainable:
            # Replicas see different examples, so an assignment averages their moving statistics.
            kwargs["aggregation"] = "mean"
        return super().add_weight(*args, trainable=trainable, **kwargs)

    def call(self, inputs, training=None, mask=None):
        self.compute_mask(inputs, mask)
        if not (training and self.trainable):
            return super().call(inputs, training=False)
        ghost, axis = self.ghost_batch_size, self._channel_axis
        neighbours = around(inputs.shape[0], ghost)
        if neighbours is None:
            inputs = self._checked(inputs)
        parameters = inputs, self.gamma, self.beta, ghost
        if neighbours is not None:
            outputs, mean, variance = normalize.ghost_normalize(
                *parameters, axis, self.epsilon, neighbours
            )
        elif self.partial == "smaller":
            outputs, mean, variance = normalize.ghost_normalize_with_remainder(
                *parameters, axis, self.epsilon
            )
        elif fused.applies(inputs, axis, ghost):
            outputs, mean, variance = fused.ghost_normalize(*parameters, self.epsilon)
        else:
            outputs, mean, variance = normalize.ghost_normalize(*parameters, axis, self.epsilon)
        self._update_statistics(mean, variance)
        return ops.cast(outputs, self.compute_dtype)

    def compute_mask(self, inputs, previous_mask=None):
        """Refuses a mask; Keras asks when it assembles a model, which is earlier than `call`."""
        require(
            previous_mask is None,
            f"{self._kind()} does not support a mask, which would leave ghost batches of unequal "
            "weight: use keras.layers.BatchNormalization, or stop the mask before this layer.",
        )

    def _update_statistics(self, mean, variance):
        """One momentum step of the moving statistics: m <- momentum m + (1 - momentum) new.

        If a new value is not finite, both stay as they were: the optimizer may skip such an update,
        and no momentum step would ever remove the value. Under a strategy, the assignment averages
        over replicas, so it must not be inside a `tf.cond` or a nested `tf.function`.

        Args:
            mean: tensor [channels], of this call's ghost batches.
            variance: tensor [channels], of this call's ghost batches, biased.
        """
        finite = ops.logical_and(ops.all(ops.isfinite(mean)), ops.all(ops.isfinite(variance)))
        one = ops.cast(1.0, mean.dtype)
        keep = ops.where(finite, one * self.momentum, one)
        share = ops.where(finite, one * (1.0 - self.momentum), ops.zeros_like(one))
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            new = ops.where(finite, new, ops.zeros_like(new))
            moving.assign(ops.cast(moving, new.dtype) * keep + new * share)

    def _checked(self, inputs):
        """Returns the inputs after a check that the ghost batch divides them."""
        whole = f"the training batch of {self._kind()}"
        if self.partial == "smaller":
            return divided(inputs, {}, whole)
        ghost = {"ghost_batch_size": self.ghost_batch_size}
        return divided(inputs, ghost, whole, "partial='smaller'")

    def _kind(self):
        return f"GhostBatchNormalization {self.name!r}"

    def get_config(self):
        return {
            **super().get_config(),
            "ghost_batch_size": self.ghost_batch_size,
            "partial": self.partial,
        }


def _check_arguments(ghost_batch_size, axis, momentum, epsilon):
    """Raises `BadInput` for a number of the wrong kind or out of range."""
    of = "GhostBatchNormalization"
    check_count("ghost_batch_size", ghost_batch_size, of=of, what="a whole number of examples")
    require(
        isinstance(axis, numbers.Integral) and not isinstance(axis, bool),
        f"`axis` of {of} must be one integer, the axis of the channels. Received: axis={axis!r}",
    )
    check_number("momentum", momentum, of=of, most=1)
    check_number("epsilon", epsilon, of=of)
