"""Curvature through normalization layers, against finite differences of plain gradients."""

import functools
import threading

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.sharpness.networks import convolutional, crossentropy, examples_for, ghost, residual
from tf_bdecay.sharpness import hessian
from tf_bdecay.sharpness.curvature.moments import differentiable_twice


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
def test_products_are_changes_of_the_gradient(double, make, training):
    model = make()
    x, y = examples_for(model)
    operator = hessian(model, crossentropy, (x, y), training)
    vector = np.random.default_rng(0).normal(size=operator.shape[0])
    vector /= np.linalg.norm(vector)
    expected = change_of_gradient(model, x, y, operator.split(vector), training)
    found = operator @ vector
    assert np.abs(found - expected).max() < 1e-7 * np.abs(expected).max()


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_moments_are_tensorflows(dtype, keepdims):
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 3, 5)), dtype)
    expected = tf.nn.moments(x, [0, -1], keepdims=keepdims)
    with differentiable_twice():
        found = tf.nn.moments(x, [0, -1], keepdims=keepdims)
    for a, b in zip(expected, found, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-3 if dtype == "float16" else 1e-6, atol=1e-7)


def test_tensorflows_own_are_put_back_after_the_last_of_several_threads():
    original, first_is_in, second_is_out = tf.nn.moments, threading.Event(), threading.Event()
    seen = []

    def first():
        with differentiable_twice():
            first_is_in.set()
            assert second_is_out.wait(60)
            seen.append(tf.nn.moments)

    thread = threading.Thread(target=first)
    thread.start()
    assert first_is_in.wait(60)
    with pytest.raises(RuntimeError), differentiable_twice():
        raise RuntimeError
    second_is_out.set()
    thread.join()
    assert seen != [original] and tf.nn.moments is original
