"""The gradient noise scale of a `Trainer`'s updates, from gradients that it computes anyway.

A batch consists of parts: the micro-batches of all replicas or, without micro-batches, the
replicas' shares. A part's gradient exists before it is added to the others, and only its squared
norm is kept. The norm of the whole batch's gradient comes from the sum, or from the optimizer,
which reduces the sum over the replicas. Means of |G|^2 and S stay on the device, so a host looks
only when it wants to.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_bdecay.batch_checks import first_tensor
from tf_bdecay.distribution.strategies import own_copy
from tf_bdecay.errors import check_count, require, shown
from tf_bdecay.frameworks import keras_private
from tf_bdecay.gradient_noise import estimates
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.optim.base import DecayByRole, unwrapped
from tf_bdecay.storage.files import fits
from tf_bdecay.training.step.loss_shares import loss_shares

_KEPT = {
    "gradient_square": "float32",
    "gradient_noise": "float32",
    "update_share": "float32",
    "measured": "int32",
    "left_out": "int32",
    "batch": "int32",
    "parts": "int32",
}


class _Parts(NamedTuple):
    """Statistics of a batch's parts, over all replicas.

    Attributes:
        small: mean of the squared norms of the parts' gradients.
        batches: the sizes b and B (see `gradient_noise.estimates`).
        examples, number: numbers of examples and of parts.
        right: whether every replica has examples, none of them of weight 0.
    """

    small: Any
    batches: tuple
    examples: Any
    number: Any
    right: Any


class NoiseMeter:
    """Running means of |G|^2 and S over the updates of a `Trainer`.

        mean <- mean + (estimate - mean) / min(t, updates)

    in the t-th measured update: a plain mean over the first ones, then one that forgets. An update
    that the optimizer skips, or whose gradients are not finite, does not count. An update with a
    single part, or with examples of weight 0 (padding, which makes parts unequal), is left out and
    counted as such.

    Args:
        trainer: the compiled `Trainer`.
        updates: how many updates the means remember.

    Raises:
        BadInput: this trainer has no gradients of parts, or its optimizer does not keep the norm of
            the whole gradient.
    """

    def __init__(self, trainer, updates):
        check_count("updates", updates, of="GradientNoiseScale", what="a whole number of updates")
        check(trainer)
        self.trainer, self.updates = trainer, int(updates)
        once = tf.VariableAggregation.ONLY_FIRST_REPLICA
        with trainer.distribute_strategy.scope():
            self._state = [
                tf.Variable(tf.zeros([], kind), trainable=False, aggregation=once, name=name)
                for name, kind in _KEPT.items()
            ]

    def state(self):
        """The means and counts: a dict of name to number, which `assign` takes.

        `gradient_square` and `gradient_noise` are the means. `update_share` is the plain mean over
        all measured updates of 1 / (1 + N / B), with N as it was then. `measured` and `left_out`
        count updates. `batch` is B, the examples of the largest update that was measured, and
        `parts` is the number of parts of the last update.
        """
        return {name: v.numpy().item() for name, v in zip(_KEPT, self._state, strict=True)}

    def assign(self, state):
        """Restores what `state` returned.

        Raises:
            BadInput: the state is of another version.
        """
        require(
            fits(state, {name: (int, float) for name in _KEPT}),
            f"The state of GradientNoiseScale must have the numbers {', '.join(_KEPT)}: it is of "
            f"another version. Received: {shown(state)}",
        )
        for name, variable in zip(_KEPT, self._state, strict=True):
            variable.assign(tf.cast(state[name], variable.dtype))

    def before_update(self, data, gradients, square):
        """Looks at a batch before its update; to be called in a replica context.

        Args:
            data: (x, y, sample_weight) of this replica's batch.
            gradients: list of its gradients as the optimizer receives them; None for a variable
                without one.
            square: mean of the squared norms of its micro-batches' gradients; None without
                micro-batches.

        Returns:
            Function to call after the update; it adds the update to the means.
        """
        parts, scale = self._parts(data, gradients, square)
        optimizer, variables = unwrapped(self.trainer.optimizer), self.trainer.trainable_variables
        before = tf.identity(own_copy(optimizer.iterations))

        def after_update():
            if _replicas() > 1:
                big = tf.reduce_sum(tf.square(own_copy(optimizer.gradient_norm)))
            else:
                big = tf.cast(squared_norm(gradients, variables), "float32") / scale**2
            done = tf.logical_and(tf.math.is_finite(parts.small), tf.math.is_finite(big))
            if isinstance(optimizer, DecayByRole):
                done = tf.logical_and(done, own_copy(optimizer.iterations) > before)
            self._take_in(parts, big, done)

        return after_update

    def _parts(self, data, gradients, square):
        """The `_Parts`, and the scale of the gradients."""
        trainer, size, replicas = self.trainer, self.trainer.micro_batch_size, _replicas()
        examples = tf.shape(first_tensor(data))[0]
        if size is None:
            keras_private.build_loss(trainer, *data[1:])
            check_shares(loss_shares(trainer, data, examples, 1)[0])
            _check_whole_ghost_batches(trainer, data)
            square = squared_norm(gradients, trainer.trainable_variables)
        n = tf.cast(examples, "float32")
        part = n if size is None else tf.constant(size, "float32")
        scale = tf.cast(trainer.optimizer.scale_loss(tf.ones([])), "float32")
        # A replica's loss is divided by the number R of replicas; each of its K parts counts
        # 1 / (R K).
        small = replicas * tf.cast(square, "float32") / scale**2
        of_parts, of_whole = 1 / (replicas * part), 1 / (replicas**2 * n)
        vector = tf.stack([small, of_parts, of_whole, n, n / part, _weightless(data[2])])
        if replicas > 1:
            context = tf.distribute.get_replica_context()
            vector = context.all_reduce(tf.distribute.ReduceOp.SUM, vector)
        small, of_parts, of_whole, examples, number, weightless = tf.unstack(vector)
        right = tf.logical_and(tf.math.is_finite(of_whole), tf.equal(weightless, 0))
        return _Parts(small, (1 / of_parts, 1 / of_whole), examples, number, right), scale

    def _take_in(self, parts, big, done):
        """Adds an update that was done to the means, on this replica's copies."""
        square, noise = estimates(parts.small, big, *parts.batches)
        usable = tf.logical_and(parts.right, parts.number > 1)
        is_measured = tf.logical_and(done, usable)
        mean_square, mean_noise, mean_share, measured, left_out, batch, last = map(
            own_copy, self._state
        )

        def moved(mean, value, most):
            t = tf.minimum(measured.read_value() + 1, most)
            change = (value - mean.read_value()) / tf.cast(t, "float32")
            return mean.assign_add(tf.where(is_measured, change, 0.0), read_value=True)

        square, noise = (
            moved(mean_square, square, self.updates),
            moved(mean_noise, noise, self.updates),
        )
        examples = tf.where(is_measured, tf.cast(parts.examples, "int32"), 0)
        largest = tf.maximum(batch.read_value(), examples)
        step = tf.maximum(square, 0.0) * tf.cast(largest, "float32")
        share = tf.math.divide_no_nan(step, step + tf.maximum(noise, 0.0))
        moved(mean_share, share, measured.dtype.max)
        batch.assign(largest)
        measured.assign_add(tf.cast(is_measured, "int32"))
        left_out.assign_add(tf.cast(tf.logical_and(done, ~usable), "int32"))
        last.assign(tf.cast(tf.round(parts.number), "int32"))


def check(trainer):
    """Raises `BadInput` if a compiled `Trainer` has no gradients of parts of a batch."""
    replicas = trainer.distribute_strategy.num_replicas_in_sync
    optimizer = unwrapped(trainer.optimizer)
    require(
        trainer.sharpness_aware is None,
        "GradientNoiseScale compares gradients at the weights, and SharpnessAware takes them "
        "elsewhere, at a point that the whole batch decides: leave one of them out.",
    )
    require(
        replicas > 1 or trainer.micro_batch_size is not None,
        "GradientNoiseScale compares the gradients of a batch's parts, and on one device without "
        "micro-batches there are none: compile the Trainer with a micro_batch_size of at most half "
        "the batch, or train on several replicas. Received: micro_batch_size=None, 1 replica",
    )
    require(
        replicas == 1 or getattr(optimizer, "gradient_norms", False),
        "On several replicas GradientNoiseScale takes the norm of the whole batch's gradient from "
        "the optimizer, which reduces it: compile with one of tf_bdecay that has "
        f"gradient_norms=True. Received: {type(optimizer).__name__}, {replicas} replicas",
    )


def _check_whole_ghost_batches(trainer, data):
    """Raises `BadInput` if replicas share ghost batches: no gradient is of one replica's alone."""
    part = first_tensor(data).shape[0]
    for layer in keras_private.layers_of(trainer):
        ghost = layer.ghost_batch_size if isinstance(layer, GhostBatchNormalization) else 1
        require(
            not (part and layer.trainable and part < ghost),
            "GradientNoiseScale compares the gradients of what each replica has, and here "
            f"neighbours share ghost batches: use ghost batches of at most {part}, or leave it "
            f"out. Received: {layer.name}.ghost_batch_size={ghost}, {part} examples a replica",
        )


def check_shares(shares):
    """Raises `BadInput` if a loss does not count every example alike.

    Args:
        shares: list of `loss_shares.Share`.
    """
    require(
        all(share.is_constant for share in shares),
        "GradientNoiseScale needs a loss in which every example counts alike, and this one divides "
        "by what a mask keeps or by the sum of weights: use a loss with "
        "reduction='sum_over_batch_size' and no mask, or leave GradientNoiseScale out.",
    )


def squared_norm(gradients, variables):
    """Sum of the squares of all gradients' elements.

    Args:
        gradients: list of tensors; None for a variable without one.
        variables: their variables; the new scales of float8, which pass as gradients, do not count.

    Returns:
        A scalar of float32, or of float64 if the first gradient is.
    """
    halves = [
        tf.nn.l2_loss(
            tf.cast(tf.convert_to_tensor(g), "float64" if v.dtype == "float64" else "float32")
        )
        for g, v in zip(gradients, variables, strict=True)
        if g is not None and not getattr(v, "overwrite_with_gradient", False)
    ]
    return 2 * tf.add_n([tf.cast(h, halves[0].dtype) for h in halves])


def _replicas():
    return tf.distribute.get_replica_context().strategy.num_replicas_in_sync


def _weightless(sample_weight):
    """The number of examples that have no weight in any output: a scalar."""
    weights = [w for w in keras.tree.flatten(sample_weight) if w is not None]
    if not weights:
        return tf.zeros([])
    any_weight = [
        tf.reduce_any(tf.not_equal(tf.reshape(w, [tf.shape(w)[0], -1]), 0), axis=1) for w in weights
    ]
    return tf.reduce_sum(tf.cast(~tf.reduce_any(tf.stack(any_weight), axis=0), "float32"))
