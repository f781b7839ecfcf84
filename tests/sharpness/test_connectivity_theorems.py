"""The paper's theorems on connectivity sharpness, where docs/method.md says that they hold."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import tf_bdecay
from tf_bdecay.sharpness import connectivity

CLASSES = 4


@pytest.fixture(autouse=True)
def double():
    keras.config.set_dtype_policy("float64")


def crossentropy(y, logits):
    return keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)


def randomized(model):
    rng = np.random.default_rng(0)
    for v in model.weights:
        positive = v.path.endswith(("gamma", "moving_variance"))
        v.assign(rng.uniform(0.5, 1.5, v.shape) if positive else rng.normal(0, 0.5, v.shape))
    return model


def data_for(model, n):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, *model.input_shape[1:])), rng.integers(0, CLASSES, n)


def sensitivities(model, data, training):
    """g * theta of every variable, of the mean loss."""
    result = connectivity(model, crossentropy, data, per_example=False, training=training)
    return [
        g.numpy() * v.numpy()
        for g, v in zip(result.gradients, model.trainable_variables, strict=True)
    ]


# Theorem 3.1: rho_{c,l,k} (eq. 9) leaves C as it is.


def perceptron(activation):
    hidden = [layers.Dense(5, activation=activation) for _ in range(3)]
    model = randomized(keras.Sequential([keras.Input((3,)), *hidden, layers.Dense(CLASSES)]))
    return model, data_for(model, 7)


def rescale(model, layer, unit, c, outgoing=True):
    """rho: incoming weights and bias of a unit by c, its outgoing weights by 1/c."""
    kernel, bias = (v.numpy() for v in model.layers[layer].trainable_variables)
    kernel[:, unit] *= c
    bias[unit] *= c
    model.layers[layer].set_weights([kernel, bias])
    if outgoing:
        kernel, bias = (v.numpy() for v in model.layers[layer + 1].trainable_variables)
        kernel[unit] /= c
        model.layers[layer + 1].set_weights([kernel, bias])


@functools.cache
def relu_perceptron():
    return perceptron("relu")


@settings(max_examples=10)
@given(st.integers(0, 2), st.integers(0, 4), st.floats(-3, 3))
@pytest.mark.parametrize("per_example", [True, False])
@pytest.mark.quick_rows(1)
@pytest.mark.slow
def test_sharpness_is_invariant_under_reparameterization(per_example, layer, unit, exponent):
    model, data = relu_perceptron()
    start = model.get_weights()
    before = connectivity(model, crossentropy, data, per_example)
    outputs = model(data[0]).numpy()
    rescale(model, layer, unit, 10**exponent)
    after = connectivity(model, crossentropy, data, per_example)
    np.testing.assert_allclose(model(data[0]), outputs, rtol=1e-9, atol=1e-12)
    model.set_weights(start)
    assert after.total == pytest.approx(before.total, rel=1e-9)
    np.testing.assert_allclose(
        list(after.by_variable.values()), list(before.by_variable.values()), rtol=1e-9
    )


@pytest.mark.parametrize("activation, outgoing", [("tanh", True), ("relu", False)])
def test_sharpness_is_not_invariant_where_the_function_changes(activation, outgoing):
    model, data = perceptron(activation)
    before = connectivity(model, crossentropy, data)
    rescale(model, 1, 2, 3.0, outgoing)
    after = connectivity(model, crossentropy, data)
    assert after.total != pytest.approx(before.total, rel=1e-3)


def test_sharpness_is_invariant_under_rescaling_a_unit_of_batch_normalization():
    """gamma and beta of a unit by c, the next kernel's input channel by 1/c."""
    model = randomized(
        keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                layers.Conv2D(3, 3, use_bias=False),
                layers.BatchNormalization(name="norm"),
                layers.ReLU(),
                layers.Conv2D(4, 3, use_bias=False, name="next"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(CLASSES),
            ]
        )
    )
    data = data_for(model, 7)
    before = connectivity(model, crossentropy, data)
    unit = np.array([1.0, 50.0, 1.0])
    norm, following = model.get_layer("norm"), model.get_layer("next")
    norm.gamma.assign(norm.gamma * unit)
    norm.beta.assign(norm.beta * unit)
    following.kernel.assign(following.kernel / unit[:, None])
    after = connectivity(model, crossentropy, data)
    np.testing.assert_allclose(
        list(after.by_variable.values()), list(before.by_variable.values()), rtol=1e-9
    )
    assert after.bias_ratio == pytest.approx(before.bias_ratio, rel=1e-6)


# Eq. 16: a linear map before a normalization.


def residual_network(epsilon):
    return randomized(
        tf_bdecay.models.resnet18(
            num_classes=CLASSES,
            width=16,  # per example, oneDNN wants multiples of 16
            input_shape=(16, 16, 3),
            ghost_batch_size=4,
            bn_epsilon=epsilon,
        )
    )


def signed_sums_of_convolutions(model, training=True):
    """For every convolution, |sum(theta g)| of each output channel over sum|theta g|."""
    parts = sensitivities(model, data_for(model, 8), training)
    kernels = [s for s in parts if s.ndim == 4]
    assert len(kernels) == 20
    return [
        np.abs(s.sum((0, 1, 2))) / np.maximum(np.abs(s).sum((0, 1, 2)), 1e-300) for s in kernels
    ]


def test_eq_16_on_every_convolution_of_resnet18():
    for sums in signed_sums_of_convolutions(residual_network(epsilon=1e-12)):
        assert sums.max() < 1e-6


def test_eq_16_fails_with_a_large_epsilon_and_with_fixed_statistics():
    large = signed_sums_of_convolutions(residual_network(epsilon=1.0))
    fixed = signed_sums_of_convolutions(residual_network(epsilon=1e-12), training=False)
    assert all(sums.max() > 1e-3 for sums in [*large, *fixed])


@pytest.mark.parametrize("bias", [True, False])
def test_eq_16_of_a_dense_layer_with_bias(bias):
    model = randomized(
        keras.Sequential(
            [
                keras.Input((5,)),
                layers.Dense(6, use_bias=bias, name="map"),
                layers.BatchNormalization(epsilon=1e-12),
                layers.Activation("tanh"),
                layers.Dense(CLASSES),
            ]
        )
    )
    parts = sensitivities(model, data_for(model, 16), training=True)[: 1 + bias]
    signed = sum(s.sum(0) if s.ndim == 2 else s for s in parts)
    size = np.abs(parts[0]).sum(0)
    assert (np.abs(signed) < 1e-8 * size).all()


# Eq. 17: between two normalizations.


def two_normalizations(between, second, first=layers.BatchNormalization):
    return randomized(
        keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                layers.Conv2D(5, 3, use_bias=False),
                first(epsilon=1e-12, name="first"),
                layers.ReLU(),
                *between,
                second(epsilon=1e-12),
                layers.Flatten(),
                layers.Dense(CLASSES),
            ]
        )
    )


def beta_and_gamma(model, training=True):
    """theta * g of the first normalization's gamma and beta, unit by unit."""
    parts = sensitivities(model, data_for(model, 12), training)
    by_id = {id(v): s for v, s in zip(model.trainable_variables, parts, strict=True)}
    first = model.get_layer("first")
    return by_id[id(first.gamma)], by_id[id(first.beta)]


def per_channel_map():
    return [layers.DepthwiseConv2D(3, use_bias=False)]


@pytest.mark.parametrize("between", [list, per_channel_map], ids=["nothing", "per-channel map"])
def test_eq_17_unit_by_unit(between):
    gamma, beta = beta_and_gamma(two_normalizations(between(), layers.BatchNormalization))
    size = np.abs(gamma).max()
    assert size > 1e-6
    np.testing.assert_allclose(gamma + beta, 0, atol=1e-8 * size)
    np.testing.assert_allclose(np.abs(gamma), np.abs(beta), atol=1e-8 * size)


GENERAL = {
    "batch, no bias": (layers.BatchNormalization, False),
    "batch, bias": (layers.BatchNormalization, True),
    "layer, no bias": (layers.LayerNormalization, False),
}


@pytest.mark.parametrize("second, bias", GENERAL.values(), ids=GENERAL.keys())
def test_eq_17_only_as_a_signed_sum_over_the_layer(second, bias):
    between = [layers.Conv2D(4, 3, use_bias=bias)]
    gamma, beta = beta_and_gamma(two_normalizations(between, second))
    size = np.abs(gamma).sum()
    assert abs((gamma + beta).sum()) < 1e-6 * size
    assert np.abs(gamma + beta).max() > 1e-2 * size  # not unit by unit, whatever the text says


def test_eq_17_fails_with_a_bias_before_statistics_of_single_examples():
    between = [layers.Conv2D(4, 3, use_bias=True)]
    gamma, beta = beta_and_gamma(two_normalizations(between, layers.LayerNormalization))
    assert abs((gamma + beta).sum()) > 1e-3 * np.abs(gamma).sum()


def test_eq_17_fails_with_fixed_statistics():
    model = two_normalizations(per_channel_map(), layers.BatchNormalization)
    gamma, beta = beta_and_gamma(model, training=False)
    size = np.abs(gamma).sum()
    assert abs((gamma + beta).sum()) > 1e-3 * size
    assert np.abs(gamma + beta).max() > 1e-3 * size


@pytest.mark.quick_rows(1)
def test_eq_11_sharpness_adds_up_over_every_partition():
    model = residual_network(epsilon=1e-5)
    result = connectivity(model, crossentropy, data_for(model, 4))
    kinds = dict(result.by_kind)
    assert kinds.pop("Total") == result.total
    assert list(kinds) == ["Conv", "gamma", "beta", "FC(w)", "FC(b)"]
    for part in (kinds, result.by_layer, result.by_variable):
        assert sum(part.values()) == pytest.approx(result.total, rel=1e-12)
    stacked = np.concatenate(
        [tf.reshape(s, -1) for s in sensitivities(model, data_for(model, 4), training=False)]
    )
    batch = connectivity(model, crossentropy, data_for(model, 4), per_example=False)
    assert batch.total == pytest.approx(np.abs(stacked).sum(), rel=1e-9)
