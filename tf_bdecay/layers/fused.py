"""Ghost batch normalization on a CPU, with TensorFlow's fused op on each ghost batch.

A ghost batch fits in the processor's cache, and the op reads it once, where a formula of several
operations reads it several times: it takes 0.34 to 0.41 of the time of Keras' BatchNormalization
(docs/performance.md). Up to 16 ghost batches are unrolled in the graph. A loop handles more, up to
16 at a time, which keeps the graph small. `normalize` takes over where the op is not the fastest:
small ghost batches are not worth an op each, XLA splits the op into slow parts, and many small
kernels would starve a GPU.
"""

import math

import keras
from keras import ops

from tf_bdecay.frameworks import quirks
from tf_bdecay.layers.closed_form_only import closed_form_is_on

AT_ONCE = 16  # ghost batches unrolled in the graph, at most
# Elements of a ghost batch; with half as many, the closed form takes 0.7 of the op's time.
WORTH_AN_OP = 2**17


def applies(x, axis, ghost):
    """Whether the fused kernel is valid and fastest here.

    It is with TensorFlow on a CPU, in a graph or eagerly but without XLA, for inputs in float32 or
    less with the channels last, and for ghost batches of at least `WORTH_AN_OP` elements or of a
    size that is not known yet.

    Args:
        x: the inputs.
        axis: int >= 1, the axis of the channels.
        ghost: int, examples in a ghost batch.
    """
    if closed_form_is_on():
        return False
    if keras.backend.backend() != "tensorflow" or axis != len(x.shape) - 1:
        return False
    shape = x.shape[1:]
    if None not in shape and ghost * math.prod(shape) < WORTH_AN_OP:
        return False
    if keras.backend.standardize_dtype(x.dtype) not in ("float32", "bfloat16", "float16"):
        return False
    import tensorflow as tf

    return not quirks.in_xla() and not tf.config.list_logical_devices("GPU")


def ghost_normalize(x, gamma, beta, ghost, epsilon):
    """Normalizes each `ghost` consecutive examples by their own statistics.

    Args:
        x: tensor [batch, ..., channels], batch a multiple of ghost.
        gamma: tensor [channels], or None for 1.
        beta: tensor [channels], or None for 0.
        ghost: int, examples in a ghost batch.
        epsilon: float >= 0, added to the variance.

    Returns:
        y in the shape and dtype of x, then the means over the ghost batches of their means and of
        their biased variances, both float32 [channels] and constant to a gradient.
    """
    import tensorflow as tf

    channels = x.shape[-1]
    number = ops.shape(x)[0] // ghost
    gamma = tf.ones(channels) if gamma is None else tf.cast(gamma, "float32")
    beta = tf.zeros(channels) if beta is None else tf.cast(beta, "float32")

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        def forward(x):
            found = tf.raw_ops.FusedBatchNormV3(
                x=x,
                scale=gamma,
                offset=beta,
                mean=[],
                variance=[],
                epsilon=epsilon,
                is_training=True,
            )
            # The op's output `batch_variance` is unbiased; the biased one is in a reserve space.
            return found.y, tf.stack([found.reserve_space_1, found.reserve_space_2])

        def gradient(dy, *_):
            def backward(dy, x, statistics):
                found = tf.raw_ops.FusedBatchNormGradV3(
                    y_backprop=dy,
                    x=x,
                    scale=gamma,
                    reserve_space_1=statistics[0],
                    reserve_space_2=statistics[1],
                    reserve_space_3=tf.zeros(1),
                    epsilon=epsilon,
                    is_training=True,
                )
                return found.x_backprop, tf.stack([found.scale_backprop, found.offset_backprop])

            groups = _grouped(dy, number), _grouped(x, number), statistics
            dx, parameters = _each(backward, groups, number)
            parameters = tf.reduce_sum(parameters, 0)
            return _restored(dx, x), parameters[0], parameters[1]

        y, statistics = _each(forward, (_grouped(x, number),), number)
        return (_restored(y, x), statistics), gradient

    y, statistics = normalize(x, gamma, beta)
    means = tf.reduce_mean(tf.stop_gradient(statistics), 0)
    return y, means[0], means[1]


def _grouped(x, number):
    return ops.reshape(x, (number, 1, -1, 1, x.shape[-1]))


def _restored(groups, x):
    import tensorflow as tf

    return tf.ensure_shape(tf.reshape(groups, tf.shape(x)), x.shape)


def _each(body, tensors, number):
    """Applies body(group of each tensor) -> (large, small) to each of `number` ghost batches.

    Args:
        body: the function; `large` is like a group of the first tensor.
        tensors: tuple of tensors [number, ...].
        number: int, or a scalar tensor where the batch is not static.

    Returns:
        Both results, [number, ...].
    """
    import tensorflow as tf

    if isinstance(number, int) and number <= AT_ONCE:
        groups = zip(*(tf.unstack(tensor, number) for tensor in tensors), strict=True)
        return [tf.stack(results) for results in zip(*(body(*g) for g in groups), strict=True)]
    at_once = 1
    if isinstance(number, int):
        at_once = max(n for n in range(1, AT_ONCE + 1) if number % n == 0)
    first = tensors[0]
    count = tf.convert_to_tensor(number) // at_once
    # Each large result is written by itself, because stacking them first would copy them again.
    large = tf.TensorArray(first.dtype, number, element_shape=first.shape[1:])
    small = tf.TensorArray("float32", count, element_shape=(at_once, 2, first.shape[-1]))

    def step(i, large, small):
        # Slices and unstacked parts of the first axis share memory, so nothing is copied.
        begin = i * at_once
        stretch = (tf.unstack(t[begin : begin + at_once], at_once) for t in tensors)
        found_large, found_small = zip(
            *(body(*groups) for groups in zip(*stretch, strict=True)), strict=True
        )
        for k, result in enumerate(found_large):
            large = large.write(begin + k, result)
        return i + 1, large, small.write(i, tf.stack(found_small))

    _, large, small = tf.while_loop(
        lambda i, *_: i < count, step, (tf.constant(0), large, small), parallel_iterations=1
    )
    return large.stack(), small.concat()
