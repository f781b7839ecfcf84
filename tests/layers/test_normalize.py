"""The closed form equals float64 NumPy and plain automatic differentiation."""

import math

import autodiff
import keras
import numpy as np
import numpy_reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tf_bdecay.layers import normalize

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("float64")]

EPSILON = 1e-3
EXAMPLES = 5 if keras.backend.backend() == "jax" else 25  # JAX compiles for every shape
CASES = [
    pytest.param((12, 5), -1, 4, id="dense"),
    pytest.param((8, 3, 4, 5), -1, 2, id="channels-last"),
    pytest.param((8, 5, 3, 4), 1, 4, id="channels-first"),
    pytest.param((6, 3, 5, 2), 2, 6, id="middle-axis-one-group"),
    pytest.param((6, 7, 3), -1, 1, id="instance"),
    pytest.param((4, 2, 3, 2, 3), -1, 2, id="volumes"),
]


def tensor(array):
    return ops.convert_to_tensor(array, array.dtype.name)


def problem(shape, axis, seed=0):
    rng = np.random.default_rng(seed)
    channels = shape[axis]
    x = rng.normal(3.0, 2.0, shape)
    return x, rng.normal(size=channels), rng.normal(size=channels), rng.normal(size=shape)


def plain(x, gamma, beta, ghost, axis, epsilon):
    """Ghost batch normalization left to automatic differentiation."""
    shape = ops.shape(x)
    groups = ops.reshape(x, (-1, ghost, *shape[1:]))
    axes = [i for i in range(1, len(shape) + 1) if i != axis + 1]
    count = math.prod(groups.shape[i] for i in axes)
    mean = ops.sum(groups, axis=axes, keepdims=True) / count
    variance = ops.sum(ops.square(groups - mean), axis=axes, keepdims=True) / count
    wide = [1] * (len(shape) + 1)
    wide[axis + 1] = -1
    y = (groups - mean) / ops.sqrt(variance + epsilon) * ops.reshape(gamma, wide)
    averages = [ops.sum(ops.squeeze(s, axes), axis=0) / s.shape[0] for s in (mean, variance)]
    return ops.reshape(y + ops.reshape(beta, wide), shape), *averages


def test_a_remainder_of_one_example_without_positions_has_its_own_values_for_means():
    x, gamma, beta, _ = problem((5, 3), 1)
    y, mean, variance = normalize.ghost_normalize_with_remainder(
        tensor(x), tensor(gamma), tensor(beta), 2, 1, EPSILON
    )
    np.testing.assert_allclose(ops.convert_to_numpy(y)[4], beta, rtol=1e-12)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-12)
    pairs = x[:4].reshape(2, 2, 3)
    np.testing.assert_allclose(variance, pairs.var(1).sum(0) * 2 / 5, rtol=1e-12)


@pytest.mark.parametrize("shape, axis, ghost", CASES)
def test_outputs_and_statistics(shape, axis, ghost):
    x, gamma, beta, _ = problem(shape, axis)
    axis %= len(shape)
    ours = normalize.ghost_normalize(tensor(x), tensor(gamma), beta, ghost, axis, EPSILON)
    reference = numpy_reference.forward(x, gamma, beta, ghost, axis, EPSILON)
    for got, wanted in zip(ours, reference, strict=True):
        assert keras.backend.standardize_dtype(got.dtype) == "float64"
        np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape, axis, ghost", CASES)
def test_gradients(shape, axis, ghost):
    x, gamma, beta, dy = problem(shape, axis)
    axis %= len(shape)

    def objective(x, gamma, beta):
        return ops.sum(normalize.ghost_normalize(x, gamma, beta, ghost, axis, EPSILON)[0] * dy)

    ours = autodiff.gradients(objective, x, gamma, beta)
    reference = numpy_reference.backward(x, gamma, dy, ghost, axis, EPSILON)
    for got, wanted in zip(ours, reference, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("frozen", ["gamma", "beta", "both"])
def test_without_gamma_or_beta(frozen):
    x, gamma, beta, dy = problem((6, 4, 3), -1)
    gamma = None if frozen in ("gamma", "both") else gamma
    beta = None if frozen in ("beta", "both") else beta
    given_parameters = [p for p in (gamma, beta) if p is not None]

    def objective(x, *parameters):
        parameters = list(parameters)
        g = None if gamma is None else parameters.pop(0)
        b = None if beta is None else parameters.pop(0)
        return ops.sum(normalize.ghost_normalize(x, g, b, 2, 2, EPSILON)[0] * dy)

    ours = autodiff.gradients(objective, x, *given_parameters)
    g = np.ones(3) if gamma is None else gamma
    dx, dgamma, dbeta = numpy_reference.backward(x, g, dy, 2, 2, EPSILON)
    wanted = [dx] + [dgamma] * (gamma is not None) + [dbeta] * (beta is not None)
    for a, b in zip(ours, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)
    y = normalize.ghost_normalize(tensor(x), gamma, beta, 2, 2, EPSILON)[0]
    b = np.zeros(3) if beta is None else beta
    np.testing.assert_allclose(y, numpy_reference.forward(x, g, b, 2, 2, EPSILON)[0], rtol=1e-12)


def of_all_outputs(kernel, dy):
    """A curved objective in which y, mean and variance all take part."""

    def objective(x, gamma, beta):
        y, mean, variance = kernel(x, gamma, beta, 2, 1, EPSILON)
        return ops.sum(ops.sin(y) * dy) + ops.sum(mean**3) + ops.sum(ops.exp(variance / 5))

    return objective


def test_gradient_through_the_statistics():
    *arrays, dy = problem((6, 3, 4), 1)
    ours = autodiff.gradients(of_all_outputs(normalize.ghost_normalize, dy), *arrays)
    wanted = autodiff.gradients(of_all_outputs(plain, dy), *arrays)
    for a, b in zip(ours, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)


def test_second_derivatives_by_reverse_over_reverse():
    *arrays, dy = problem((6, 3, 4), 1)
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=a.shape) for a in arrays]
    ours, wanted = (
        autodiff.hessian_vector_products(of_all_outputs(kernel, dy), arrays, directions)
        for kernel in (normalize.ghost_normalize, plain)
    )
    for a, b in zip(ours, wanted, strict=True):
        assert np.abs(b).max() > 1e-3
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


@settings(max_examples=EXAMPLES)
@given(
    batch=st.integers(1, 9),
    ghost=st.integers(1, 10),
    positions=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_remainder_is_one_smaller_ghost_batch(batch, ghost, positions, seed):
    x, gamma, beta, dy = problem((batch, positions, 2), -1, seed)

    def objective(x, gamma, beta):
        kernel = normalize.ghost_normalize_with_remainder
        return ops.sum(kernel(x, gamma, beta, ghost, 2, EPSILON)[0] * dy)

    ours = normalize.ghost_normalize_with_remainder(tensor(x), gamma, beta, ghost, 2, EPSILON)
    wanted = numpy_reference.forward(x, gamma, beta, ghost, 2, EPSILON)
    for a, b in zip(ours, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(a), b, rtol=1e-10, atol=1e-10)
    ours = autodiff.gradients(objective, x, gamma, beta)
    wanted = numpy_reference.backward(x, gamma, dy, ghost, 2, EPSILON)
    for a, b in zip(ours, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)


@settings(max_examples=EXAMPLES)
@given(
    seed=st.integers(0, 1000),
    scale=st.floats(1e-2, 1e2),
    shift=st.floats(-50, 50),
)
def test_a_ghost_batch_forgets_its_own_scale_and_shift(seed, scale, shift):
    x, gamma, beta, _ = problem((6, 4, 3), -1, seed)
    moved = x.copy()
    moved[3:] = moved[3:] * scale + shift  # the second ghost batch alone
    a, b = (normalize.ghost_normalize(tensor(v), gamma, beta, 3, 2, 0.0)[0] for v in (x, moved))
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("mean", [1e2, 1e4])
def test_digits_survive_a_mean_far_from_zero(mean):
    """E[x^2] - E[x]^2 in float32 would be wrong by about 1e-7 mean^2: 0.1 % and 1000 %."""
    rng = np.random.default_rng(0)
    x = rng.normal(mean, 1.0, (64, 8, 8, 4)).astype("float32")
    gamma, beta = np.ones(4, "float32"), np.zeros(4, "float32")
    ours = normalize.ghost_normalize(tensor(x), gamma, beta, 32, 3, 1e-5)
    wanted = numpy_reference.forward(x, gamma, beta, 32, 3, 1e-5)
    assert keras.backend.standardize_dtype(ours[2].dtype) == "float32"
    # A float32 sum of 2,048 values is good to a few 1e-6; only its square enters the variance.
    np.testing.assert_allclose(np.asarray(ours[2]), wanted[2], rtol=1e-5 + (3e-6 * mean) ** 2)
    np.testing.assert_allclose(np.asarray(ours[0]), wanted[0], atol=3e-6 * mean)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_only_that_of_the_ends(dtype):
    """From the same half-precision x and dy, all that is lost is the last rounding."""
    rng = np.random.default_rng(0)
    x = ops.cast(rng.normal(100.0, 10.0, (8, 16, 16, 3)), dtype)
    dy = ops.cast(rng.normal(size=(8, 16, 16, 3)), dtype)
    exact_x, exact_dy = (np.asarray(ops.cast(t, "float64")) for t in (x, dy))
    gamma, beta = np.ones(3, "float32"), np.zeros(3, "float32")
    y, mean, variance = normalize.ghost_normalize(x, gamma, beta, 4, 3, EPSILON)
    wanted = numpy_reference.forward(exact_x, gamma, beta, 4, 3, EPSILON)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert keras.backend.standardize_dtype(mean.dtype) == "float32"
    half_digit = 2.0**-11 if dtype == "float16" else 2.0**-8
    np.testing.assert_allclose(np.asarray(mean), wanted[1], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(variance), wanted[2], rtol=1e-5)
    np.testing.assert_allclose(
        np.asarray(ops.cast(y, "float64")), wanted[0], rtol=1.01 * half_digit, atol=1e-4
    )

    def objective(x, gamma, beta):
        y = normalize.ghost_normalize(ops.cast(x, dtype), gamma, beta, 4, 3, EPSILON)[0]
        return ops.sum(ops.cast(y, "float32") * ops.cast(exact_dy, "float32"))

    ours = autodiff.gradients(objective, exact_x.astype("float32"), gamma, beta)
    wanted = numpy_reference.backward(exact_x, gamma, exact_dy, 4, 3, EPSILON)
    np.testing.assert_allclose(ours[0], wanted[0], rtol=1.01 * half_digit, atol=1e-5)
    np.testing.assert_allclose(ours[1], wanted[1], rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(ours[2], wanted[2], rtol=1e-4, atol=1e-2)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="reads JAX's residuals")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_x_and_the_statistics_are_kept_for_the_backward_pass(dtype):
    import jax

    x = jax.numpy.asarray(np.random.default_rng(0).normal(size=(64, 8, 8, 4)), dtype)
    gamma, beta = np.ones(4, "float32"), np.zeros(4, "float32")

    def layer(x, gamma, beta):
        return normalize.ghost_normalize(x, gamma, beta, 32, 3, 1e-3)[0]

    _, backward = jax.vjp(layer, x, gamma, beta)
    kept = [leaf for leaf in jax.tree_util.tree_leaves(backward) if np.ndim(leaf)]
    large = [leaf for leaf in kept if leaf.size >= x.size]
    assert [(leaf.size, leaf.dtype) for leaf in large] == [(x.size, x.dtype)]
    assert sum(leaf.size for leaf in kept) <= x.size + 16 * 4
