"""SAM's and ASAM's rise beside the formula in NumPy, and beside maxima that are known."""

import numpy as np
import pytest
import tensorflow as tf

from tests.sharpness.networks import convolutional, crossentropy, dense, examples_for, parameters
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import perturbation


def gradient_and_losses(model, x, y):
    with tf.GradientTape() as tape:
        losses = crossentropy(y, model(x, training=False))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    return np.concatenate([g.numpy().reshape(-1) for g in gradients]), losses.numpy()


def moved(model, vector):
    """Adds a vector to the trainable variables."""
    start = 0
    for v in model.trainable_variables:
        size = int(np.prod(v.shape))
        v.assign(v.numpy() + vector[start : start + size].reshape(v.shape))
        start += size


@pytest.mark.parametrize("kind, rho", [("sam", 0.05), ("asam", 0.3)])
def test_the_rise_is_that_of_the_formula(double, kind, rho):
    model = convolutional()
    x, y = examples_for(model)
    gradient, before = gradient_and_losses(model, x, y)
    t = np.ones_like(gradient) if kind == "sam" else np.abs(parameters(model)) + 0.01
    step = rho * t**2 * gradient / np.linalg.norm(t * gradient)
    result = perturbation(model, crossentropy, (x, y), kind, rho, examples_at_once=4)
    moved(model, step)
    gradient_there, after = gradient_and_losses(model, x, y)
    rises = after - before
    assert result.total == pytest.approx(rises.mean())
    assert result.by_kind["Total"] == result.total
    assert result.standard_error == pytest.approx(rises.std(ddof=1) / np.sqrt(len(x)))
    shares = (gradient + gradient_there) / 2 * step
    assert sum(result.by_variable.values()) == pytest.approx(shares.sum())
    assert result.remainder == pytest.approx(rises.mean() - shares.sum(), rel=1e-6)
    fc = sum(int(np.prod(v.shape)) for v in model.trainable_variables[-2:])
    assert list(result.by_layer.values())[-1] == pytest.approx(shares[-fc:].sum())


def test_the_remainder_is_of_third_order(double):
    model = dense()
    data = examples_for(model)
    large, small = (
        abs(perturbation(model, crossentropy, data, rho=rho, steps=0).remainder)
        for rho in (0.1, 0.05)
    )
    assert large / small == pytest.approx(8, rel=0.3)


@pytest.mark.parametrize("kind", ["sam", "asam"])
def test_several_steps_find_no_less_and_a_quadratics_maximum(double, kind):
    model = dense()
    data = examples_for(model)
    result = perturbation(model, crossentropy, data, kind, rho=1.0, steps=20)
    assert result.maximum >= result.total > 0
    assert perturbation(model, crossentropy, data, kind, steps=0).maximum == pytest.approx(
        perturbation(model, crossentropy, data, kind, steps=0).total
    )


def test_the_maximum_of_a_linear_model_is_known(double):
    """L = mean w . x - y: the rise in a ball is rho |mean x|, at the first step already."""
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    x, y = np.random.default_rng(0).normal(size=(6, 3)), np.zeros((6, 1))
    result = perturbation(model, lambda y, out: out[:, 0], (x, y), rho=0.7, steps=6)
    exact = 0.7 * np.linalg.norm(x.mean(0))
    assert result.total == pytest.approx(exact) and result.maximum == pytest.approx(exact)


def test_no_gradient_no_rise(double):
    model = dense()
    x, y = examples_for(model)
    result = perturbation(model, lambda y, out: 0 * out[:, 0], (x, y))
    assert result.total == result.maximum == 0


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (dict(kind="asma"), "did you mean 'asam'"),
        (dict(rho=0), "`rho` must be a number > 0"),
        (dict(steps=-1), "`steps` must be a whole number >= 0"),
        (dict(eta=float("nan")), "`eta` must be a number > 0"),
    ],
)
def test_bad_arguments(arguments, sentence):
    model = dense()
    with pytest.raises(BadInput, match=sentence):
        perturbation(model, crossentropy, examples_for(model), **arguments)
