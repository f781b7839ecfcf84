"""Ghost batch normalization by TensorFlow's fused op, one ghost batch after the other, on a CPU.

A ghost batch fits in the processor's cache, and the op reads it once where a formula of several
operations reads it several times: a quarter of the time of Keras' BatchNormalization. The loop
keeps the graph as small for 256 ghost batches as for 8. XLA unravels the op into slow parts, and on
a GPU a loop of small kernels would starve it: there `normalize` serves.
"""

import contextlib
import threading

import keras
from keras import ops

_local = threading.local()  # replicas are threads


@contextlib.contextmanager
def avoided():
    """A context in which `serves` says no: forward-mode differentiation cannot follow the loop."""
    outer = getattr(_local, "avoided", False)
    _local.avoided = True
    try:
        yield
    finally:
        _local.avoided = outer


def serves(x, axis):
    """Whether this kernel is the fastest for a training batch, and right.

    The one rule: TensorFlow, in a plain graph or eagerly (no XLA), on a CPU, float32 or less, the
    channels last.

    Args:
        x: the inputs.
        axis: int >= 1, the axis of the channels.
    """
    if getattr(_local, "avoided", False):
        return False
    if keras.backend.backend() != "tensorflow" or axis != len(x.shape) - 1:
        return False
    if keras.backend.standardize_dtype(x.dtype) not in ("float32", "bfloat16", "float16"):
        return False
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util  # the only place that tells of XLA

    graph = tf.compat.v1.get_default_graph()
    compiled = control_flow_util.GraphOrParentsInXlaContext(graph)
    return not compiled and not tf.config.list_logical_devices("GPU")


def ghost_normalize(x, gamma, beta, ghost, epsilon):
    """Normalizes each `ghost` consecutive examples by their own statistics.

    Args:
        x: tensor [batch, ..., channels], batch a multiple of ghost.
        gamma: tensor [channels], or None for 1.
        beta: tensor [channels], or None for 0.
        ghost: int, examples in a ghost batch.
        epsilon: float >= 0, added to the variance.

    Returns:
        y as x in shape and dtype, then the means over the ghost batches of their means and of their
        biased variances, both float32 [channels] and constants to a gradient.
    """
    import tensorflow as tf

    channels = x.shape[-1]
    number = ops.shape(x)[0] // ghost
    gamma = tf.ones(channels) if gamma is None else tf.cast(gamma, "float32")
    beta = tf.zeros(channels) if beta is None else tf.cast(beta, "float32")

    def over_groups(body, start):
        """Applies body(index, carry) -> (group, carry) to every ghost batch; joins the groups."""
        count = tf.convert_to_tensor(number)

        def step(i, groups, carry):
            group, carry = body(i, carry)
            return i + 1, groups.write(i, group), carry

        groups = tf.TensorArray(x.dtype, count, element_shape=(None, 1, 1, channels))
        _, groups, carry = tf.while_loop(
            lambda i, *_: i < count, step, (tf.constant(0), groups, start), parallel_iterations=1
        )
        return tf.ensure_shape(tf.reshape(groups.concat(), tf.shape(x)), x.shape), carry

    def in_groups(tensor):
        return tf.reshape(tensor, (number, -1, 1, 1, channels))

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        groups = in_groups(x)

        def forward(i, statistics):
            found = tf.raw_ops.FusedBatchNormV3(
                x=groups[i],
                scale=gamma,
                offset=beta,
                mean=[],
                variance=[],
                epsilon=epsilon,
                is_training=True,
            )
            # The variance that it returns openly is the unbiased one.
            pair = tf.stack([found.reserve_space_1, found.reserve_space_2])
            return found.y, statistics.write(i, pair)

        array = tf.TensorArray("float32", number, element_shape=(2, channels))
        y, array = over_groups(forward, array)
        statistics = array.stack()

        def gradient(dy, *_):
            upstream = in_groups(dy)

            def backward(i, parameters):
                found = tf.raw_ops.FusedBatchNormGradV3(
                    y_backprop=upstream[i],
                    x=groups[i],
                    scale=gamma,
                    reserve_space_1=statistics[i, 0],
                    reserve_space_2=statistics[i, 1],
                    reserve_space_3=tf.zeros(1),
                    epsilon=epsilon,
                    is_training=True,
                )
                return found.x_backprop, parameters + tf.stack(
                    [found.scale_backprop, found.offset_backprop]
                )

            dx, parameters = over_groups(backward, tf.zeros((2, channels)))
            return dx, parameters[0], parameters[1]

        return (y, statistics), gradient

    y, statistics = normalize(x, gamma, beta)
    means = tf.reduce_mean(tf.stop_gradient(statistics), 0)
    return y, means[0], means[1]
