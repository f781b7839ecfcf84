"""Normalization of ghost batches in closed form: pure functions on tensors, any backend.

For one channel of one ghost batch, M values x (examples times positions):

    mean = sum x / M      variance = sum (x - mean)^2 / M      r = 1 / sqrt(variance + epsilon)
    y = gamma r (x - mean) + beta

and backward, from the gradients g of y, g_m of the mean and g_v of the variance,

    dbeta = sum g      dgamma = r sum g (x - mean)
    dx = gamma r g + (2 g_v - gamma r^2 dgamma) / M (x - mean) + (g_m - gamma r dbeta) / M

Only x and three numbers per channel and ghost batch are kept for the backward pass. If several
replicas hold a ghost batch together, M and all sums are those of the whole.
"""

import math

from keras import backend, ops


def normalize_groups(x, gamma, beta, epsilon, neighbours=None):
    """Normalizes every group by its own statistics: y = gamma (x - mean) / sqrt(var + eps) + beta.

    The variance is the mean square of x - mean, as E[x^2] - mean^2 loses digits where the mean is
    large compared with the deviation. The gradient is the closed form above; it can be
    differentiated again, by reverse or forward mode. (Forward mode alone fails under JAX, as for
    every custom gradient there.)

    Args:
        x: tensor [groups, values, channels] or [groups, values, channels, values], of any float
            dtype.
        gamma: tensor [channels], or None for 1.
        beta: tensor [channels], or None for 0.
        epsilon: float >= 0, added to the variance.
        neighbours: the `Neighbours` of whose group x [1, ...] is a part; None if x is whole groups.

    Returns:
        y in the shape and dtype of x, then mean and (biased) variance, both [groups, channels];
        these two and all arithmetic are float32, or float64 if x is. A group without values has
        mean 0 and variance 0.
    """
    narrow = backend.standardize_dtype(x.dtype)
    dtype = "float64" if narrow == "float64" else "float32"
    axes, shape = ([1], (1, 1, -1)) if len(x.shape) == 3 else ([1, 3], (1, 1, -1, 1))
    gamma = ops.ones(x.shape[2]) if gamma is None else gamma
    gamma = ops.reshape(ops.cast(gamma, dtype), shape)
    shift = [] if beta is None else [ops.reshape(ops.cast(beta, dtype), shape)]

    @ops.custom_gradient
    def normalize(x, gamma, *shift):
        wide = ops.cast(x, dtype)
        count = _count(x, axes, dtype)
        mean = ops.sum(wide, axis=axes, keepdims=True) / count
        variance = ops.sum(ops.square(wide - mean), axis=axes, keepdims=True) / count
        if neighbours:
            mean, variance = neighbours.moments(mean, variance)
            count = count * neighbours.number
        r = ops.rsqrt(variance + epsilon)
        y = (wide - mean) * (gamma * r)
        y = y + shift[0] if shift else y

        def gradient(*args, upstream=None):
            # TensorFlow gives three tensors, JAX a tuple of them, other backends the keyword.
            if upstream is None:
                upstream = args if len(args) == 3 else args[0]
            g, g_mean, g_variance = upstream
            # Cast again: in mixed precision, a captured copy would be kept in memory.
            g, centred = ops.cast(g, dtype), ops.cast(x, dtype) - mean
            dbeta = ops.sum(g, axis=axes, keepdims=True)
            dgamma = r * ops.sum(g * centred, axis=axes, keepdims=True)
            sums = dgamma, dbeta, g_mean, g_variance
            whole_dgamma, whole_dbeta, g_mean, g_variance = (
                neighbours.sums(*sums) if neighbours else sums
            )
            slope = (2 * g_variance - gamma * r * r * whole_dgamma) / count
            offset = (g_mean - gamma * r * whole_dbeta) / count
            dx = ops.cast(gamma * r * g + slope * centred + offset, narrow)
            # So far one value per group, but all groups share the parameters.
            dgamma = ops.sum(dgamma, axis=0, keepdims=True)
            dbeta = ops.sum(dbeta, axis=0, keepdims=True)
            return (dx, dgamma, dbeta) if shift else (dx, dgamma)

        return (ops.cast(y, narrow), mean, variance), gradient

    y, mean, variance = normalize(x, gamma, *shift)
    return y, ops.squeeze(mean, axes), ops.squeeze(variance, axes)


def ghost_normalize(x, gamma, beta, ghost, axis, epsilon, neighbours=None):
    """Normalizes each `ghost` consecutive examples by their own statistics.

    Args:
        x: tensor [batch, ...], batch a multiple of ghost.
        gamma: tensor [channels], or None for 1.
        beta: tensor [channels], or None for 0.
        ghost: int, examples in a ghost batch.
        axis: int >= 1, the axis of x that holds the channels.
        epsilon: float >= 0, added to the variance.
        neighbours: the `Neighbours` that hold one ghost batch together, of which x is then a part;
            None if x is whole ghost batches.

    Returns:
        y in the shape and dtype of x, then the means over the ghost batches of their means and of
        their biased variances, both [channels], float32 or float64.
    """
    number, size = (1, x.shape[0]) if neighbours else (ops.shape(x)[0] // ghost, ghost)
    groups = _grouped(x, number, size, axis)
    y, mean, variance = normalize_groups(groups, gamma, beta, epsilon, neighbours)
    # Sums, because ops.mean computes in float32 under JAX whatever its input.
    number = ops.cast(number, mean.dtype)
    mean, variance = ops.sum(mean, axis=0) / number, ops.sum(variance, axis=0) / number
    return ops.reshape(y, ops.shape(x)), mean, variance


def ghost_normalize_with_remainder(x, gamma, beta, ghost, axis, epsilon):
    """`ghost_normalize` for any batch: the examples left over form one smaller ghost batch.

    Args:
        x: tensor [batch, ...].
        gamma, beta, ghost, axis, epsilon: as in `ghost_normalize`.

    Returns:
        As `ghost_normalize`; the ghost batches' statistics are weighted by their examples.
    """
    batch = ops.shape(x)[0]  # an int, or a tensor if TensorFlow does not know it yet
    whole = batch // ghost * ghost
    if isinstance(batch, int) and whole == batch:
        return ghost_normalize(x, gamma, beta, ghost, axis, epsilon)
    rest = x[whole:]
    y, mean, variance = normalize_groups(
        _grouped(rest, 1, batch - whole, axis), gamma, beta, epsilon
    )
    y, mean, variance = ops.reshape(y, ops.shape(rest)), mean[0], variance[0]
    if isinstance(batch, int) and whole == 0:
        return y, mean, variance
    groups = _grouped(x[:whole], whole // ghost, ghost, axis)
    y_whole, mean_whole, variance_whole = normalize_groups(groups, gamma, beta, epsilon)
    y = ops.concatenate([ops.reshape(y_whole, ops.shape(x[:whole])), y], axis=0)
    share = ghost / ops.cast(batch, mean.dtype)
    left = ops.cast(batch - whole, mean.dtype) / ops.cast(batch, mean.dtype)
    mean = ops.sum(mean_whole, axis=0) * share + mean * left
    variance = ops.sum(variance_whole, axis=0) * share + variance * left
    return y, mean, variance


def _grouped(x, number, ghost, axis):
    """Reshapes x for `normalize_groups`, with no more axes than needed.

    XLA on CPU reduces over one axis several times faster than over three.
    """
    shape = ops.shape(x)
    after = (math.prod(shape[axis + 1 :]),) if axis + 1 < len(shape) else ()
    return ops.reshape(x, (number, ghost * math.prod(shape[1:axis]), shape[axis], *after))


def _count(x, axes, dtype):
    """Number of values in one channel of one group, at least 1: a float or a scalar tensor."""
    count = 1
    for i in axes:
        count = count * ops.shape(x)[i]
    if isinstance(count, int):
        return float(max(count, 1))
    return ops.cast(ops.maximum(count, 1), dtype)
