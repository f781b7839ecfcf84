"""Products with the Hessian beside the dense matrix, and beside differences of gradients."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy.sparse.linalg import LinearOperator, cg

from tests.sharpness.networks import (
    convolutional,
    crossentropy,
    dense,
    dense_hessian,
    examples_for,
    ghost,
    residual,
)
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import hessian


@pytest.mark.parametrize(
    "make, training",
    [(dense, False), (convolutional, False), (ghost, False), (ghost, True), (residual, False)],
    ids=["dense", "batch norm", "ghost", "ghost in training mode", "residual, layer norm, pool"],
)
@pytest.mark.quick_rows(2)
def test_products_are_those_of_the_dense_matrix(double, make, training):
    model = make()
    x, y = examples_for(model)
    expected = dense_hessian(model, x, y, training)
    at_once = None if training else 4
    operator = hessian(model, crossentropy, (x, y), training, examples_at_once=at_once)
    assert isinstance(operator, LinearOperator)
    assert operator.shape == expected.shape and operator.dtype == np.float64
    vectors = np.random.default_rng(0).normal(size=(expected.shape[0], 2))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(operator @ vectors, expected @ vectors, atol=1e-10 * scale)
    np.testing.assert_allclose(operator.T @ vectors[:, 0], expected @ vectors[:, 0], atol=1e-9)
    assert operator.products == 3


# Through normalization layers, against finite differences of plain gradients.


class OwnNormalization(layers.Layer):
    """As a user may write it."""

    def build(self, shape):
        self.gamma = self.add_weight(shape=shape[-1:], initializer="ones", name="gamma")

    def call(self, x):
        mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
        return self.gamma * (x - mean) / tf.sqrt(variance + 0.1)


def with_norm(layer, **arguments):
    return functools.partial(convolutional, layer, **arguments)


def change_of_gradient(model, x, y, vector, training, step=1e-5):
    """(g(theta + step v) - g(theta - step v)) / (2 step)."""
    variables = model.trainable_variables
    original = [v.numpy() for v in variables]

    def gradient(distance):
        for variable, value, direction in zip(variables, original, vector, strict=True):
            variable.assign(value + distance * direction)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(crossentropy(y, model(x, training=training)))
        gradients = tape.gradient(loss, variables)
        return np.concatenate([g.numpy().reshape(-1) for g in gradients])

    difference = (gradient(step) - gradient(-step)) / (2 * step)
    gradient(0.0)  # puts the weights back
    return difference


@pytest.mark.parametrize(
    "make, training",
    [
        (with_norm(layers.LayerNormalization), False),
        (with_norm(layers.GroupNormalization, groups=3), False),
        (with_norm(layers.RMSNormalization), False),
        (with_norm(OwnNormalization), False),
        (residual, False),
        (convolutional, False),
        (convolutional, True),
        (ghost, True),
    ],
    ids=["layer", "group", "rms", "own", "residual", "batch", "batch, training", "ghost, training"],
)
@pytest.mark.quick_rows(3)
def test_products_are_changes_of_the_gradient(double, make, training):
    model = make()
    x, y = examples_for(model)
    operator = hessian(model, crossentropy, (x, y), training)
    vector = np.random.default_rng(0).normal(size=operator.shape[0])
    vector /= np.linalg.norm(vector)
    expected = change_of_gradient(model, x, y, operator.split(vector), training)
    found = operator @ vector
    assert np.abs(found - expected).max() < 1e-7 * np.abs(expected).max()


def test_products_in_single_precision():
    model = convolutional()
    x, y = examples_for(model)
    operator = hessian(model, crossentropy, (x, y))
    assert operator.dtype == np.float32
    vector = np.random.default_rng(0).normal(size=operator.shape[0])
    expected = dense_hessian(model, x, y) @ vector
    assert np.abs(operator @ vector - expected).max() < 1e-5 * np.abs(expected).max()


def test_works_with_scipys_solvers(double):
    model = dense()
    x, y = examples_for(model)
    operator = hessian(model, crossentropy, (x, y))
    size = operator.shape[0]
    damped = LinearOperator((size, size), lambda v: operator @ v + 10 * v.reshape(-1), dtype=float)
    right = np.ones(size)
    solution, failed = cg(damped, right, rtol=1e-12)
    assert not failed
    expected = np.linalg.solve(dense_hessian(model, x, y) + 10 * np.eye(size), right)
    np.testing.assert_allclose(solution, expected, rtol=1e-8, atol=1e-12)


def test_shares_of_an_inner_product_add_up(double):
    operator = hessian(dense(), crossentropy, examples_for(dense()))
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, operator.shape[0]))
    shares = operator.shares(a, b)
    assert shares.sum() == pytest.approx(a @ b)
    pieces = zip(operator.split(a), operator.split(b), strict=True)
    np.testing.assert_allclose(shares, [np.sum(p * q) for p, q in pieces])


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (dict(examples_at_once=0), "`examples_at_once` must be a whole number >= 1"),
        (dict(training=True, examples_at_once=4), "the 11 examples are one batch"),
        (dict(memory_gb=-1), "`memory_gb` must be a number > 0"),
        (dict(memory_gb=1e-9), "One example at a time needs about .* GB.*memory_gb=1e-09"),
        (dict(training="yes"), "`training` must be True or False"),
    ],
)
def test_bad_arguments(arguments, sentence):
    model = dense()
    with pytest.raises(BadInput, match=sentence):
        hessian(model, crossentropy, examples_for(model), **arguments)
