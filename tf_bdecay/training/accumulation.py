"""One update from many micro-batches: that of the global batch, in a fraction of its memory."""

import keras
import tensorflow as tf
from keras import tree

from tf_bdecay import keras_private
from tf_bdecay.batches import check_divides, divided
from tf_bdecay.errors import check_count, require
from tf_bdecay.layers import GhostBatchNormalization
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


def accumulated(forward_backward, data, size, variables, state, outputs):
    """Loss, outputs and gradients of a replica's batch, computed a micro-batch at a time.

        L = 1/K sum_k L_k,   dL/dtheta = 1/K sum_k dL_k/dtheta      (K micro-batches of equal size)

    The loop holds the activations of one micro-batch. Gradients are summed in float32 (float64 for
    such variables). The order of examples is the batch's own, so ghost batches are too.

    What layers assign in a forward pass is assigned after the loop. A variable that replicas
    average (`aggregation="mean"`, as moving statistics) is averaged over micro-batches too, each of
    which began with the old value: with b_k the statistics of micro-batch k,

        1/K sum_k (m old + (1 - m) b_k) = m old + (1 - m) 1/K sum_k b_k

    is one momentum step from the mean over all ghost batches. Any other variable, such as the seed
    of a dropout, is handed from one micro-batch to the next.

    Args:
        forward_backward: function of (x, y, sample_weight) that returns loss, outputs, gradients.
        data: (x, y, sample_weight), structures of tensors of one length, or None.
        size: int, examples of a micro-batch, which divides that length.
        variables: those of the gradients.
        state: the Keras variables that layers and losses may assign.
        outputs: structure like the outputs, for their dtypes.

    Returns:
        The mean loss, the outputs for all examples, and the list of gradients.

    Raises:
        BadInput: the size does not divide the batch, or a variable outside of `state` is assigned;
            at run time `tf.errors.InvalidArgumentError`, where only the graph knows the batch.
    """
    data = tree.map_structure(lambda t: _in_micro_batches(t, size), data)
    first = tree.flatten(data)[0]
    count = first.shape[0] or tf.shape(first)[0]
    averaged = [v for v in state if v.aggregation == "mean"]
    chained = [v for v in state if v.aggregation != "mean"]
    assigned = set()  # ids, known once the body was traced
    start = (
        tf.constant(0),
        tf.constant(0.0, _wide(keras.config.floatx())),
        [tf.zeros(v.shape, _wide(v.dtype)) for v in variables],
        [tf.zeros(v.shape, _wide(v.dtype)) for v in averaged],
        [tf.convert_to_tensor(v.value) for v in chained],
        tree.map_structure(
            lambda t: tf.TensorArray(t.dtype, count, element_shape=(size, *t.shape[1:])), outputs
        ),
    )

    def body(k, loss, sums, means, values, arrays):
        part = tree.map_structure(lambda t: None if t is None else t[k], data)
        with _Assignments(variables, averaged, zip(chained, values, strict=True)) as scope:
            value, y_pred, gradients = forward_backward(*part)
        assigned.update(scope.assigned)
        sums = _plus(sums, dense_gradients(gradients, variables))
        means = _plus(means, [_value(v, scope) for v in averaged])
        values = [_value(v, scope) for v in chained]
        arrays = tree.map_structure(lambda array, t: array.write(k, t), arrays, y_pred)
        return k + 1, loss + tf.cast(value, loss.dtype), sums, means, values, arrays

    _, loss, sums, means, values, arrays = tf.while_loop(
        lambda k, *_: k < count, body, start, parallel_iterations=1
    )

    def mean(total):
        return total / tf.cast(count, total.dtype)

    # After the loop: an assignment that averages over replicas must not stand inside it.
    values = [*map(mean, means), *values]
    for variable, value in zip([*averaged, *chained], values, strict=True):
        if id(variable) in assigned:
            variable.assign(value)
    return mean(loss), tree.map_structure(_in_one, arrays), [mean(s) for s in sums]


class _Assignments(keras.StatelessScope):
    """A scope in which variables are not assigned, but new values kept for who asks for them.

    Args:
        trained: variables that keep their own values.
        averaged: variables that begin with their own values.
        chained: pairs of a variable and the value that it begins with.

    Attributes:
        assigned: ids of the variables that got new values.
    """

    def __init__(self, trained, averaged, chained):
        super().__init__(chained, collect_losses=True)
        self.assigned = set()
        self._allowed = {*self.state_mapping, *(id(v) for v in averaged)}
        # Regularizers take what the scope has: the variable itself, which the tape follows.
        self.state_mapping.update({id(v): v.value for v in trained})

    def add_update(self, update):
        variable, _ = update
        require(
            id(variable) in self._allowed,
            f"A forward pass assigns {variable.path!r}, which micro-batches cannot follow: it must "
            "be a non-trainable variable of the model (of random numbers, of a "
            "keras.random.SeedGenerator that a layer has as an attribute).",
        )
        self.assigned.add(id(variable))
        super().add_update(update)


def _value(variable, scope):
    value = scope.get_current_value(variable)
    return tf.convert_to_tensor(variable.value if value is None else value)


def _plus(sums, values):
    return [s + tf.cast(v, s.dtype) for s, v in zip(sums, values, strict=True)]


def _in_one(array):
    """The outputs of all micro-batches; `concat` of an array would lose a length that is known."""
    parts = array.stack()
    count, size, *rest = parts.shape
    length = -1 if count is None else count * size
    return tf.reshape(
        parts, tf.concat([[length], tf.shape(parts)[2:]], 0) if None in rest else [length, *rest]
    )


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
