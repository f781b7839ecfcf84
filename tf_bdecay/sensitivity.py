"""Connection sensitivity and what is computed from it: pure functions on tensors, any backend.

The sensitivity of the loss to cutting the connection of parameter i is, to first order, the
gradient with respect to the connection c at c = 1 (eq. 7): `dl/dc_i = dl/dtheta_i * theta_i`.
"""

import numpy as np
from keras import ops


def connection_sensitivity(gradients, parameters):
    """Connection sensitivity of every parameter: gradient times parameter (eq. 7).

    Args:
        gradients: list of tensors, dl/dtheta, one for each variable.
        parameters: list of tensors theta of the same shapes.

    Returns:
        List of tensors `g * theta`, shaped as the parameters, in units of the loss.
    """
    return [ops.multiply(g, p) for g, p in zip(gradients, parameters, strict=True)]


def l1_norms(sensitivities):
    """L1 norm of each variable's connection sensitivity (the inner sum of eq. 4).

    It splits exactly over any partition of the parameters (eq. 11), so C of a layer, of a kind or
    of the network is the sum of these.

    Args:
        sensitivities: list of tensors, from `connection_sensitivity`.

    Returns:
        List of scalar tensors, in units of the loss; 0 for a variable without elements.
    """
    return [ops.sum(ops.abs(s)) for s in sensitivities]


def bias_ratio(c_beta, c_gamma):
    """Bias utilisation of normalization layers, r_l = C(beta_l) / C(gamma_l) (sec. 4.2).

    If C(beta) is 0, r = 0 whatever C(gamma) is: beta starts at 0, and the last gamma of a residual
    block may too. If only C(gamma) is 0, r = inf.

    Args:
        c_beta: tensor, C(beta) of each layer, >= 0.
        c_gamma: tensor of the same shape, C(gamma) of each layer, >= 0.

    Returns:
        Tensor of the same shape: r, dimensionless.
    """
    nothing = ops.equal(c_gamma, 0)
    quotient = ops.divide(c_beta, ops.where(nothing, ops.ones_like(c_gamma), c_gamma))
    ratio = ops.where(nothing, ops.full_like(c_gamma, float("inf")), quotient)
    return ops.where(ops.equal(c_beta, 0), ops.zeros_like(c_beta), ratio)


def bias_ratio_error(c_beta, c_gamma, error_beta, error_gamma, covariance):
    """Standard error of r = C(beta) / C(gamma), both means over the same examples.

        se(r)^2 = (se(beta)^2 - 2 r cov + r^2 se(gamma)^2) / C(gamma)^2     (the delta method)

    Args:
        c_beta, c_gamma: float64 arrays [layers], as in `bias_ratio`.
        error_beta, error_gamma: float64 arrays [layers], standard errors of these.
        covariance: float64 array [layers], of the two means.

    Returns:
        float64 array [layers]; NaN where C(gamma) is 0 or an error is not known.
    """
    gamma = np.where(c_gamma == 0, np.nan, c_gamma)
    r = c_beta / gamma
    square = error_beta**2 - 2 * r * covariance + (r * error_gamma) ** 2
    return np.sqrt(np.maximum(square, 0)) / gamma
