"""The Fisher-Rao norm beside theta^T F theta of the dense matrix, and beside closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tests.sharpness.networks import (
    CLASSES,
    convolutional,
    crossentropy,
    dense,
    examples_for,
    jacobian,
    parameters,
    residual,
)
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import fisher_rao

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense_fisher(model, x, log_probabilities):
    """F = E_x sum_y p_y grad log p_y grad log p_y^T, and log p."""
    log_p = log_probabilities().numpy()
    rows = jacobian(model, log_probabilities).reshape(*log_p.shape, -1)
    return np.einsum("ny,nyi,nyj->ij", np.exp(log_p), rows, rows) / len(x)


@pytest.mark.parametrize("make", [dense, convolutional, residual])
@pytest.mark.quick_rows(2)
def test_equals_the_dense_matrix_by_variable(double, make):
    model = make()
    x, y = examples_for(model)
    fisher = dense_fisher(model, x, lambda: tf.nn.log_softmax(model(x, training=False)))
    theta = parameters(model)
    result = fisher_rao(model, LOGITS, (x, y), examples_at_once=4)
    assert result.total == pytest.approx(theta @ fisher @ theta)
    assert result.norm == pytest.approx(np.sqrt(theta @ fisher @ theta))
    ends = np.cumsum([int(np.prod(v.shape)) for v in model.trainable_variables])[:-1]
    shares = [part.sum() for part in np.split(theta * (fisher @ theta), ends)]
    np.testing.assert_allclose(result.shares, shares, atol=1e-10)


def test_without_biases_they_are_held_fixed(double):
    model = convolutional()
    x, y = examples_for(model)
    fisher = dense_fisher(model, x, lambda: tf.nn.log_softmax(model(x, training=False)))
    theta = np.concatenate(
        [
            v.numpy().reshape(-1) * (v.name not in ("bias", "beta"))
            for v in model.trainable_variables
        ]
    )
    result = fisher_rao(model, LOGITS, (x, y), biases=False)
    assert result.total == pytest.approx(theta @ fisher @ theta)
    assert result.by_kind["beta"] == result.by_kind["FC(b)"] == 0


@settings(max_examples=6)
@given(depth=st.integers(1, 4), seed=st.integers(0, 100))
def test_a_bias_free_relu_network_has_a_closed_form(depth, seed):
    """u = L logits, so FR^2 = L^2 E_x Var_p(logits)."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((5,), dtype="float64")]
        + [layers.Dense(6, "relu", use_bias=False, dtype="float64") for _ in range(depth - 1)]
        + [layers.Dense(CLASSES, use_bias=False, dtype="float64")]
    )
    x, y = rng.normal(size=(7, 5)), rng.integers(0, CLASSES, 7)
    logits = np.asarray(model(x))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    variance = (p * logits**2).sum(1) - (p * logits).sum(1) ** 2
    result = fisher_rao(model, LOGITS, (x, y))
    assert result.total == pytest.approx(depth**2 * variance.mean())
    error = depth**2 * variance.std(ddof=1) / np.sqrt(7)
    assert result.standard_error == pytest.approx(error)
    # Homogeneous in every layer: each has an equal share.
    assert list(result.by_layer.values()) == pytest.approx([result.total / depth] * depth)


def test_the_standard_error_of_the_norm_is_about_that_of_the_jackknife():
    """The norm over all examples but one, by the closed form; they agree to first order in 1/n."""
    keras.utils.set_random_seed(0)
    hidden = layers.Dense(6, "relu", use_bias=False)
    model = keras.Sequential([keras.Input((5,)), hidden, layers.Dense(CLASSES, use_bias=False)])
    n = 400
    x, y = np.random.default_rng(0).normal(size=(n, 5)), np.zeros(n, int)
    logits = np.asarray(model(x), "float64")
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    squares = 4 * ((p * logits**2).sum(1) - (p * logits).sum(1) ** 2)  # of each example
    norms = np.sqrt((squares.sum() - squares) / (n - 1))
    jackknife = np.sqrt((n - 1) / n * np.sum((norms - norms.mean()) ** 2))
    result = fisher_rao(model, LOGITS, (x, y))
    assert result.norm == pytest.approx(np.sqrt(squares.mean()), rel=1e-5)
    assert result.norm_standard_error == pytest.approx(jackknife, rel=0.01)


@pytest.mark.parametrize("classes", [CLASSES, 1])
def test_probabilities_and_logits_agree(double, classes):
    keras.utils.set_random_seed(1)
    with_logits = keras.Sequential([keras.Input((4,)), layers.Dense(classes)])
    last = layers.Activation("softmax" if classes > 1 else "sigmoid")
    with_probabilities = keras.Sequential([keras.Input((4,)), *with_logits.layers, last])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 4)), rng.integers(0, 2, 8).reshape(-1, *([1] * (classes == 1)))
    loss = LOGITS if classes > 1 else keras.losses.BinaryCrossentropy(from_logits=True)
    name = "sparse_categorical_crossentropy" if classes > 1 else "binary_crossentropy"
    logits = fisher_rao(with_logits, loss, (x, y))
    probabilities = fisher_rao(with_probabilities, name, (x, y))
    assert probabilities.total == pytest.approx(logits.total, rel=1e-6)
    assert probabilities.loss == pytest.approx(logits.loss, rel=1e-5)
    with_probabilities.compile(loss=name)
    assert fisher_rao(with_probabilities, None, (x, y)).total == pytest.approx(
        probabilities.total, rel=1e-12
    )


def test_what_the_outputs_are_must_be_known():
    model = dense()
    data = examples_for(model)
    with pytest.raises(BadInput, match="does not say whether .* Received: loss=crossentropy"):
        fisher_rao(model, crossentropy, data)
    assert fisher_rao(model, crossentropy, data, from_logits=True).total == pytest.approx(
        fisher_rao(model, LOGITS, data).total
    )
    with pytest.raises(BadInput, match="does not say whether .*mean_squared_error"):
        fisher_rao(model, "mse", (data[0], np.zeros((11, CLASSES))))


def test_outputs_must_be_classes():
    model = keras.Sequential([keras.Input((4, 2)), layers.Dense(CLASSES)])
    x, y = np.ones((3, 4, 2)), np.zeros((3, 4), int)
    with pytest.raises(BadInput, match="outputs .examples, classes.. Received: .*4, 3"):
        fisher_rao(model, LOGITS, (x, y))


def test_several_binary_outputs_are_no_classes():
    model = dense()
    x, y = examples_for(model)
    several = np.eye(CLASSES)[y]
    for loss in (keras.losses.BinaryCrossentropy(from_logits=True), "binary_crossentropy"):
        with pytest.raises(BadInput, match="as many choices: .* Received: .*11, 3"):
            fisher_rao(model, loss, (x, several), from_logits=True)


def test_outputs_said_to_be_probabilities_must_be_some():
    for outputs in (CLASSES, 1):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(outputs)])
        x = np.random.default_rng(0).normal(size=(5, 4))
        with pytest.raises(BadInput, match="are no class probabilities.*from_logits=True"):
            fisher_rao(model, "mse", (x, np.zeros((5, outputs))), from_logits=False)


@pytest.mark.parametrize("layer", [layers.LSTM, layers.GRU, layers.SimpleRNN])
@pytest.mark.quick_rows(1)
def test_recurrent_networks(double, layer):
    model = keras.Sequential(
        [keras.Input((4, 2)), layers.Dense(3), layer(3), layers.Dense(CLASSES)]
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4, 2)), np.arange(5) % CLASSES
    unrolled = keras.Sequential(
        [keras.Input((4, 2)), layers.Dense(3), layer(3, unroll=True), layers.Dense(CLASSES)]
    )
    unrolled.set_weights(model.get_weights())
    results = [fisher_rao(m, LOGITS, (x, y)) for m in (model, unrolled)]
    np.testing.assert_allclose(results[0].shares, results[1].shares, rtol=1e-9)


def test_what_is_of_several_choices_is_refused():
    tokens = keras.Sequential(
        [keras.Input((4, 2)), layers.LSTM(3, return_sequences=True), layers.Dense(CLASSES)]
    )
    data = np.ones((5, 4, 2), "float32"), np.zeros((5, 4), int)
    with pytest.raises(BadInput, match="a classifier's outputs .examples, classes.*Received"):
        fisher_rao(tokens, LOGITS, data)
    inputs = keras.Input((2,))
    two = keras.Model(inputs, [layers.Dense(CLASSES)(inputs), layers.Dense(CLASSES)(inputs)])
    with pytest.raises(BadInput, match="a classifier's outputs .examples, classes.*list"):
        fisher_rao(two, LOGITS, (np.ones((5, 2), "float32"), [np.zeros(5, int)] * 2))


def test_a_loss_by_name_with_labels_of_one_axis(double):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, "sigmoid")])
    x, y = np.random.default_rng(0).normal(size=(6, 2)), np.arange(6) % 2
    totals = [fisher_rao(model, name, (x, y)).total for name in ("bce", "ce")]
    by_class = fisher_rao(model, keras.losses.BinaryCrossentropy(), (x, y[:, None])).total
    assert totals == pytest.approx([by_class] * 2)
