"""Ghost batch normalization in float64 NumPy, one ghost batch at a time, as in the paper.

The backward pass is the chain of Ioffe and Szegedy (2015), section 3: through the normalized
values, then the variance, then the mean. It shares no formula with the closed form under test.
"""

import numpy as np


def ghost_batches(batch, ghost):
    """The slices of the batch that are a ghost batch each; the last may be smaller."""
    return [slice(i, min(i + ghost, batch)) for i in range(0, batch, ghost)]


def forward(x, gamma, beta, ghost, axis, epsilon):
    """y, and the means over ghost batches, weighted by examples, of their means and variances."""
    x = np.moveaxis(np.asarray(x, "float64"), axis, -1)
    y, means, variances, weights = np.empty_like(x), [], [], []
    for part in ghost_batches(len(x), ghost):
        values = x[part].reshape(-1, x.shape[-1])
        means.append(values.mean(0))
        variances.append(values.var(0))
        weights.append(part.stop - part.start)
        y[part] = gamma * (x[part] - means[-1]) / np.sqrt(variances[-1] + epsilon) + beta
    average = [np.average(s, axis=0, weights=weights) for s in (means, variances)]
    return np.moveaxis(y, -1, axis), *average


def backward(x, gamma, dy, ghost, axis, epsilon):
    """Gradients with respect to x, gamma and beta, from the gradient of y."""
    x = np.moveaxis(np.asarray(x, "float64"), axis, -1)
    dy = np.moveaxis(np.asarray(dy, "float64"), axis, -1)
    dx, dgamma, dbeta = np.empty_like(x), 0.0, 0.0
    for part in ghost_batches(len(x), ghost):
        values, upstream = x[part].reshape(-1, x.shape[-1]), dy[part].reshape(-1, x.shape[-1])
        count, mean, variance = len(values), values.mean(0), values.var(0)
        deviation = np.sqrt(variance + epsilon)
        normalized = (values - mean) / deviation
        d_normalized = upstream * gamma
        d_variance = (d_normalized * (values - mean) * -0.5 * deviation**-3).sum(0)
        d_mean = (-d_normalized / deviation).sum(0)
        d_values = d_normalized / deviation + d_variance * 2 * (values - mean) / count
        dx[part] = (d_values + d_mean / count).reshape(dx[part].shape)
        dgamma = dgamma + (upstream * normalized).sum(0)
        dbeta = dbeta + upstream.sum(0)
    return np.moveaxis(dx, -1, axis), dgamma, dbeta
