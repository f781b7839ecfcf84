"""The formulas of the updates: small pure functions on tensors of any backend.

LAMB's stand in the order of docs/method.md, "The optimizer": moments, direction a, trust ratio. Its
decay (u = a + lambda * theta) and step are in `Lamb.rule`. AdamW uses the same without the ratio.
"""

import math

from keras import ops


def moments(gradient, momentum, velocity, beta_1, beta_2):
    """Exponential averages of the gradient and of its square (Algorithm 1, corrected).

        m <- beta_1 m + (1 - beta_1) g        v <- beta_2 v + (1 - beta_2) g^2

    Args:
        gradient, momentum, velocity: tensors g, m, v of one shape.
        beta_1, beta_2: floats in [0, 1).

    Returns:
        The new (m, v).
    """
    momentum = beta_1 * momentum + (1 - beta_1) * gradient
    velocity = beta_2 * velocity + (1 - beta_2) * ops.square(gradient)
    return momentum, velocity


def bias_correction(beta, updates):
    """The total weight 1 - beta^t of an exponential average from zero after t updates.

    Computed as `-expm1(t log(beta))` with the logarithm in double precision: in float32, a naive
    1 - 0.999^t is off by 1e-5.

    Args:
        beta: float in [0, 1).
        updates: float tensor t >= 1.

    Returns:
        Tensor of the dtype of `updates`, in (0, 1].
    """
    if beta == 0:
        return ops.ones_like(updates)
    return -ops.expm1(updates * math.log(beta))


def adam_direction(momentum, velocity, epsilon, correction_1=1.0, correction_2=1.0):
    """Adam's direction, a = (m / c_1) / (sqrt(v / c_2) + epsilon).

    Args:
        momentum, velocity: tensors m, v of one shape.
        epsilon: float >= 0. At 0, a is 0 where v is 0.
        correction_1, correction_2: scalars c_1 and c_2 from `bias_correction`; 1 for none.

    Returns:
        Tensor a of that shape, dimensionless.
    """
    # a = m / (c_1 sqrt(v / c_2) + c_1 epsilon): with the scalars combined first, each element takes
    # one multiplication and one division.
    c_1, c_2 = (ops.cast(c, velocity.dtype) for c in (correction_1, correction_2))
    root = ops.sqrt(velocity) * (c_1 * ops.rsqrt(c_2)) + c_1 * epsilon
    if epsilon == 0:
        nothing = ops.equal(root, 0)
        return ops.where(nothing, 0.0, momentum / ops.where(nothing, 1.0, root))
    return momentum / root


def trust_ratio(parameter_norm, update_norm, clip=None):
    """Trust ratio of LAMB, ||theta|| / ||u||, and 1 where either norm is 0.

    Args:
        parameter_norm, update_norm: tensors of one shape, L2 norms of each variable's theta and u.
        clip: float, the largest ratio allowed; None for none.

    Returns:
        Tensor of that shape, dimensionless.
    """
    usable = ops.logical_and(parameter_norm > 0, update_norm > 0)
    ratio = ops.where(usable, parameter_norm / ops.where(usable, update_norm, 1.0), 1.0)
    return ratio if clip is None else ops.minimum(ratio, clip)


def lars_trust_ratio(parameter_norm, gradient_norm, decay, coefficient, epsilon=0.0):
    """Trust ratio of LARS, and 1 where the norm of theta or g is 0 (You et al. 2017, eq. 6).

        ratio = coefficient ||theta|| / (||g|| + lambda ||theta|| + epsilon)

    Args:
        parameter_norm, gradient_norm: tensors of one shape, L2 norms of each variable's theta and
            of its gradient g without decay.
        decay: lambda of each variable, a tensor of that shape or 0.
        coefficient: float > 0, the trust coefficient: how far a variable goes in an update at eta =
            1, as a share of its norm.
        epsilon: float >= 0; 0 in the paper.

    Returns:
        Tensor of that shape.
    """
    usable = ops.logical_and(parameter_norm > 0, gradient_norm > 0)
    below = ops.where(usable, gradient_norm + decay * parameter_norm + epsilon, 1.0)
    return ops.where(usable, coefficient * parameter_norm / below, 1.0)


def heavy_ball(step, buffer, momentum, nesterov=False):
    """Heavy-ball momentum, or Nesterov's as in Keras and PyTorch.

        b <- momentum b + d        the step is b, or d + momentum b with Nesterov's

    Args:
        step, buffer: tensors d, b of one shape.
        momentum: float in [0, 1).
        nesterov: whether the step is Nesterov's.

    Returns:
        The step, and the new b.
    """
    buffer = momentum * buffer + step
    return (step + momentum * buffer if nesterov else buffer), buffer


def clip_by_global_norm_scale(square_sums, limit):
    """Factor that brings the norm of all gradients together down to a limit.

        min(1, limit / sqrt(sum_l ||g_l||^2))

    Args:
        square_sums: tensor [V], the sum of squares of each variable's gradient.
        limit: float > 0.

    Returns:
        Scalar tensor in (0, 1].
    """
    norm = ops.sqrt(ops.sum(square_sums))
    return limit / ops.maximum(norm, limit)
