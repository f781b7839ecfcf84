"""The share of each micro-batch's loss in the loss of the whole batch.

Keras divides the sum of a loss by the number of its values, the number of those that a mask keeps,
the sum of their weights, or 1. With L_k = S_k / d_k the loss of micro-batch k, the whole batch has

    L = sum_k S_k / sum_k d_k = 1/K sum_k (K d_k / sum_j d_j) L_k          (K micro-batches)

so a micro-batch's loss is multiplied by its share K d_k / sum_j d_j, which is 1 for plain means. A
sum divides by 1 in every micro-batch and in the whole batch too, so its share is K.
"""

import keras
import tensorflow as tf
from keras import tree

from tf_bdecay.errors import require
from tf_bdecay.frameworks import keras_private


class Share:
    """The share of one loss in every micro-batch.

    Args:
        values: None for a share of 1, the number of micro-batches for a sum, or tensor [K].
    """

    def __init__(self, values=None):
        self._values = values

    @property
    def is_constant(self):
        """Whether it is the same in every micro-batch, whatever the data."""
        return self._values is None or not len(self._values.shape)

    def of(self, loss, k):
        """The loss to use in micro-batch k: the Keras loss times its share."""
        if self._values is None:
            return loss

        def shared(y_true, y_pred, sample_weight=None):
            value = loss(y_true, y_pred, sample_weight)
            share = self._values[k] if len(self._values.shape) else self._values
            return value * tf.cast(share, value.dtype)

        return shared


def loss_shares(trainer, data, size, count):
    """Shares of a model's losses, and the masks of its outputs.

    Masks and ignored values depend only on inputs and targets. A forward pass finds them here; the
    graph computes nothing else of it.

    Args:
        trainer: the compiled `Trainer`, whose losses are built.
        data: (x, y, sample_weight) of a replica's whole batch.
        size: int, examples per micro-batch.
        count: K, the number of micro-batches, an int or a scalar tensor.

    Returns:
        List of `Share`, one per loss; and list of masks or None, one per output.

    Raises:
        BadInput: a loss that is not reduced to one number.
    """
    x, y, sample_weight = data
    losses = keras_private.losses_of(trainer)
    for loss in losses:
        require(
            loss.reduction not in (None, "none"),
            f"The loss {loss.name!r} is not reduced to one number, which micro-batches need: use "
            "reduction='sum_over_batch_size', 'sum' or 'mean_with_sample_weight', or no "
            f"micro_batch_size. Received: reduction={loss.reduction!r}",
        )
    masked = any(map(_makes_mask, keras_private.layers_of(trainer)))
    weighted = sample_weight is not None
    known = [_plain(loss, masked, weighted, count) for loss in losses]
    outputs = len(tree.flatten(trainer.output))
    if not masked and all(known):
        return known, [None] * outputs
    counts, masks = {}, []

    def look():
        y_pred = trainer(x, training=False)
        masks[:] = [keras_private.mask_of(t) for t in tree.flatten(y_pred)]

        def counting(i, loss):
            return lambda *args: _noted(counts, i, _divisor(loss, *args))

        with keras_private.losses_replaced(trainer, counting):
            trainer.compute_loss(x, y, y_pred, sample_weight, training=False)
        return counts, [m for m in masks if m is not None]

    with keras.StatelessScope(collect_losses=True):
        counts, found = tf.function(look, autograph=False)()
    found = iter(found)
    masks = [None if m is None else next(found) for m in masks]
    shares = []
    for i, share in enumerate(known):
        if share is None and (by_example := counts.get(str(i))) is not None:
            d = tf.reduce_sum(tf.reshape(by_example, [-1, size]), axis=1)
            d *= tf.math.divide_no_nan(tf.cast(tf.size(d), d.dtype), tf.reduce_sum(d))
            share = Share(d)
        shares.append(share or Share())
    return shares, masks


def _plain(loss, masked, weighted, count):
    """The share that a loss has whatever the data, or None if it depends on them."""
    if loss.reduction == "sum":
        return Share(tf.constant(count) if isinstance(count, int) else count)
    if masked or _may_ignore(loss):
        return None
    return None if loss.reduction == "mean_with_sample_weight" and weighted else Share()


def _divisor(loss, y_true, y_pred, sample_weight=None):
    """What a loss divides by, summed over all axes but the examples: [n]; None for a plain mean."""
    masks = [keras_private.mask_of(y_pred)]
    if _may_ignore(loss):
        masks.append(keras_private.mask_of(loss.call(_cast(y_true, loss), _cast(y_pred, loss))))
    masks = [m for m in masks if m is not None]
    mask = None
    for one in masks:
        mask = one if mask is None else tf.logical_and(mask, one)
    if loss.reduction != "mean_with_sample_weight":
        sample_weight = None
    divisor = keras_private.masked_weights(sample_weight, mask)
    if divisor is None:
        return None
    return tf.reduce_sum(divisor, axis=list(range(1, len(divisor.shape))))


def _noted(counts, i, divisor):
    if divisor is not None:
        counts[str(i)] = divisor
    return tf.constant(0.0)


def _cast(tensors, loss):
    return tree.map_structure(lambda t: keras.ops.convert_to_tensor(t, loss.dtype), tensors)


def _may_ignore(loss):
    """Whether a loss may mask values: it has `ignore_class`, or is neither Keras' nor ours."""
    if keras_private.is_from_keras(loss):
        return getattr(loss, "ignore_class", None) is not None
    return not is_ours(loss)


def _makes_mask(layer):
    """Whether a layer may create a mask."""
    if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
        return True
    if keras_private.is_from_keras(layer) or is_ours(layer):
        return False
    return keras_private.computes_mask(layer)


def is_ours(thing):
    """Whether an object's class belongs to tf_bdecay."""
    return type(thing).__module__.split(".")[0] == "tf_bdecay"
