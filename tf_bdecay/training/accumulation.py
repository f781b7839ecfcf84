"""One update from many micro-batches: that of the whole batch, in a fraction of its memory."""

import keras
import tensorflow as tf
from keras import tree

from tf_bdecay import keras_private
from tf_bdecay.batches import check_divides, divided
from tf_bdecay.errors import check_count, require
from tf_bdecay.layers import GhostBatchNormalization, moving_statistics
from tf_bdecay.sharpness.tape import dense_gradients


def check(model, micro_batch_size):
    """Raises `BadInput` unless a model's update is the same from micro-batches of this size."""
    if micro_batch_size is None:
        return
    check_count("micro_batch_size", micro_batch_size)
    for layer in keras_private.layers_of(model, include_self=False):
        if isinstance(layer, GhostBatchNormalization):
            ghost = {f"{layer.name}.ghost_batch_size": layer.ghost_batch_size}
            check_divides(ghost, "micro_batch_size", micro_batch_size)
        else:
            require(
                not isinstance(layer, keras.layers.BatchNormalization),
                f"The layer {layer.name!r} normalizes by the statistics of its whole batch, which "
                "micro-batches do not have: use tf_bdecay.layers.GhostBatchNormalization, or no "
                "micro_batch_size.",
            )


def accumulated(trainer, data, micro_batch_size):
    """Loss, outputs and gradients of a batch, computed a micro-batch at a time.

        L = 1/K sum_k L_k,   dL/dtheta = 1/K sum_k dL_k/dtheta      (K micro-batches of equal size)

    The loop holds the activations of one micro-batch. Gradients are summed in float32 (float64 for
    such variables), moving statistics take one step from the mean over all ghost batches. The order
    of examples is the batch's own, so ghost batches are too.

    Args:
        trainer: the `Trainer`.
        data: (x, y, sample_weight), structures of tensors of one length, or None.
        micro_batch_size: int, which divides that length.

    Returns:
        The mean loss, the outputs for all examples, and the list of gradients.

    Raises:
        BadInput: it does not divide the batch; at run time `tf.errors.InvalidArgumentError`, where
            only the running graph knows the batch.
    """
    data = tree.map_structure(lambda t: _in_micro_batches(t, micro_batch_size), data)
    first = tree.flatten(data)[0]
    count = first.shape[0] or tf.shape(first)[0]
    variables = trainer.trainable_variables
    layers = _with_statistics(trainer)
    start = (
        tf.constant(0),
        tf.constant(0.0, _wide(keras.config.floatx())),
        [tf.zeros(v.shape, _wide(v.dtype)) for v in variables],
        [(tf.zeros(n.moving_mean.shape, _wide(n.dtype)),) * 2 for n in layers],
        tree.map_structure(
            lambda t: tf.TensorArray(
                t.dtype, count, element_shape=(micro_batch_size, *t.shape[1:])
            ),
            trainer.output,
        ),
    )

    def body(k, loss, sums, statistics, outputs):
        part = tree.map_structure(lambda t: None if t is None else t[k], data)
        with moving_statistics.collected() as found:
            value, y_pred, gradients = trainer.gradients(*part)
        gradients = dense_gradients(gradients, variables)
        sums = [s + tf.cast(g, s.dtype) for s, g in zip(sums, gradients, strict=True)]
        by_layer = {id(n): v for n, v in zip(found.layers, found.values, strict=True)}
        statistics = [
            tuple(s + tf.cast(new, s.dtype) for s, new in zip(old, by_layer[id(n)], strict=True))
            for n, old in zip(layers, statistics, strict=True)
        ]
        outputs = tree.map_structure(lambda array, t: array.write(k, t), outputs, y_pred)
        return k + 1, loss + tf.cast(value, loss.dtype), sums, statistics, outputs

    _, loss, sums, statistics, outputs = tf.while_loop(
        lambda k, *_: k < count, body, start, parallel_iterations=1
    )

    def mean(total):
        return total / tf.cast(count, total.dtype)

    # After the loop: an assignment that averages over replicas must not stand inside it.
    for layer, (batch_mean, variance) in zip(layers, statistics, strict=True):
        layer.update_statistics(mean(batch_mean), mean(variance))
    y_pred = tree.map_structure(_in_one, outputs)
    return mean(loss), y_pred, [mean(s) for s in sums]


def _in_one(array):
    """The outputs of all micro-batches; `concat` of an array would lose a length that is known."""
    parts = array.stack()
    count, size, *rest = parts.shape
    length = -1 if count is None else count * size
    return tf.reshape(
        parts, tf.concat([[length], tf.shape(parts)[2:]], 0) if None in rest else [length, *rest]
    )


def _with_statistics(model):
    """The ghost batch normalizations that move their statistics in training."""
    return [
        layer
        for layer in keras_private.layers_of(model, include_self=False)
        if isinstance(layer, GhostBatchNormalization) and layer.trainable
    ]


def _wide(dtype):
    return "float64" if dtype == "float64" else "float32"


def _in_micro_batches(tensor, size):
    """[K size, ...] as [K, size, ...]."""
    if tensor is None:
        return None
    tensor = tf.convert_to_tensor(tensor)
    batch, rest = tensor.shape[0], tensor.shape[1:]
    tensor = divided(tensor, {"micro_batch_size": size}, "the batch of a replica")
    cut = tf.reshape(tensor, tf.concat([[-1, size], tf.shape(tensor)[1:]], 0))
    return tf.ensure_shape(cut, [batch and batch // size, size, *rest])
