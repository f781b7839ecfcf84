"""Eq. 4 beside a loop over examples in plain Python, and beside differences in c."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tf_bdecay
from tests.sharpness.networks import (
    CLASSES,
    EXAMPLES,
    convolutional,
    crossentropy,
    examples_for,
    transformer,
)
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.sharpness import connectivity


def loop_over_examples(model, x, y):
    """Eq. 4 to the letter: one tape an example, in plain Python."""
    total = np.zeros(len(model.trainable_variables))
    for xi, yi in zip(x, y, strict=True):
        with tf.GradientTape() as tape:
            loss = crossentropy(yi[None], model(xi[None], training=False))[0]
        gradients = tape.gradient(
            loss,
            [v.value for v in model.trainable_variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        total += [
            np.abs(tf.convert_to_tensor(g).numpy() * v.numpy()).sum()
            for g, v in zip(gradients, model.trainable_variables, strict=True)
        ]
    return total / len(x)


@pytest.mark.parametrize(
    "make, tolerance",
    [
        (convolutional, 1e-10),
        (lambda: convolutional(GhostBatchNormalization), 1e-10),
        (transformer, 1e-6),  # Keras' LayerNormalization works in float32
    ],
    ids=["batch", "ghost batch", "layer"],
)
def test_per_example_equals_a_loop(double, make, tolerance):
    model = make()
    x, y = examples_for(model)
    result = connectivity(model, crossentropy, (x, y))
    expected = loop_over_examples(model, x, y)
    np.testing.assert_allclose(
        list(result.by_variable.values()), expected, rtol=tolerance, atol=1e-12
    )


def test_per_example_equals_finite_differences_of_the_connections(double):
    """Eq. 4 and 5: l(c * theta) differenced in every c_i at c = 1, example by example."""
    model = convolutional()
    x, y = examples_for(model, 5)
    h, expected = 1e-5, []
    for v in model.trainable_variables:
        theta, sensitivity = v.numpy(), 0.0
        for i in np.ndindex(theta.shape):
            sides = []
            for c in (1 + h, 1 - h):
                cut = theta.copy()
                cut[i] *= c
                v.assign(cut)
                sides.append(crossentropy(y, model(x, training=False)).numpy())
            v.assign(theta)
            sensitivity += np.abs(sides[0] - sides[1]) / (2 * h)
        expected.append(np.mean(sensitivity))
    result = connectivity(model, crossentropy, (x, y))
    np.testing.assert_allclose(list(result.by_variable.values()), expected, rtol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_batch_measure_is_of_the_mean_loss(double, training):
    model = convolutional()
    x, y = examples_for(model)
    result = connectivity(model, crossentropy, (x, y), per_example=False, training=training)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(crossentropy(y, model(x, training=training)))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert result.loss == pytest.approx(float(loss), rel=1e-12)
    for got, g in zip(result.gradients, gradients, strict=True):
        np.testing.assert_allclose(got, g, rtol=1e-9, atol=1e-15)
    expected = [
        np.abs(g * v.numpy()).sum()
        for g, v in zip(gradients, model.trainable_variables, strict=True)
    ]
    np.testing.assert_allclose(list(result.by_variable.values()), expected, rtol=1e-10)


def test_per_example_gradients_average_to_the_batch_gradient(double):
    model = convolutional()
    data = examples_for(model)
    single = connectivity(model, crossentropy, data)
    batch = connectivity(model, crossentropy, data, per_example=False)
    assert single.loss == pytest.approx(batch.loss, rel=1e-12)
    for a, b in zip(single.gradients, batch.gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-15)
    assert single.total > batch.total  # mean|.| >= |mean|, and these examples disagree


@pytest.mark.parametrize("per_example", [True, False])
@pytest.mark.parametrize("at_once", [1, 4, EXAMPLES, 100])
@pytest.mark.quick_rows(4)
def test_cutting_the_batch_changes_nothing(double, per_example, at_once):
    model = convolutional()
    data = examples_for(model)
    whole = connectivity(model, crossentropy, data, per_example)
    cut = connectivity(model, crossentropy, data, per_example, examples_at_once=at_once)
    assert cut.loss == pytest.approx(whole.loss, rel=1e-12)
    np.testing.assert_allclose(
        list(cut.by_variable.values()), list(whole.by_variable.values()), rtol=1e-9
    )
    for a, b in zip(cut.gradients, whole.gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-15)


def test_regularisation_is_left_out(double):
    model, plain = convolutional(regularizer="l2"), convolutional()
    data = examples_for(model)
    a, b = (connectivity(m, crossentropy, data, per_example=False) for m in (model, plain))
    assert model.losses and not plain.losses
    assert (a.loss, a.total) == pytest.approx((b.loss, b.total), rel=1e-12)


def test_losses_added_in_a_call_are_left_out_and_not_left_behind():
    class AddsLoss(layers.Layer):
        def call(self, x):
            self.add_loss(tf.reduce_sum(x))
            return x

    model = keras.Sequential([keras.Input((3,)), layers.Dense(CLASSES), AddsLoss()])
    data = examples_for(model)
    kernel, _ = model.trainable_variables
    result = connectivity(model, crossentropy, data, per_example=False)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(crossentropy(data[1], model(data[0])))
    np.testing.assert_allclose(result.gradients[0], tape.gradient(loss, kernel.value), rtol=1e-5)
    assert all(np.isfinite(float(loss)) for loss in model.losses)


def test_dropout_in_training_mode_measures_one_thinned_network(double):
    """One mask for all examples, so that cutting the batch changes nothing."""
    model = transformer()
    data = examples_for(model)
    whole = connectivity(model, crossentropy, data, training=True)
    cut = connectivity(model, crossentropy, data, training=True, examples_at_once=3)
    plain = connectivity(model, crossentropy, data)
    assert cut.total == pytest.approx(whole.total, rel=1e-6)  # kernels sum in another order
    assert plain.total != pytest.approx(whole.total, rel=1e-3)


@pytest.mark.parametrize("normalization", [layers.BatchNormalization, GhostBatchNormalization])
def test_per_example_in_training_mode_is_refused_with_batch_statistics(normalization):
    model = convolutional(normalization)
    data = examples_for(model)
    with pytest.raises(BadInput, match="does not exist in training mode .*'norm'"):
        connectivity(model, crossentropy, data, training=True)
    model.get_layer("norm").trainable = False  # which runs on accumulated statistics
    assert connectivity(model, crossentropy, data, training=True).total > 0


def test_per_example_in_training_mode_is_refused_with_statistics_of_other_names():
    class Centred(layers.Layer):
        def build(self, shape):
            self.running = self.add_weight(shape=shape[1:], trainable=False, name="running")

        def call(self, x, training=False):
            if training:
                self.running.assign(keras.ops.mean(x, axis=0))
            return x - self.running

    model = keras.Sequential([keras.Input((3,)), Centred(), layers.Dense(CLASSES)])
    with pytest.raises(BadInput, match="does not exist in training mode .*running'"):
        connectivity(model, crossentropy, examples_for(model), training=True)


def test_ratio_is_that_of_the_shares(double):
    model = convolutional()
    result = connectivity(model, crossentropy, examples_for(model))
    (ratio,) = result.bias_ratio.values()
    c = result.by_variable
    beta, gamma = (c[v.path] for v in (model.get_layer("norm").beta, model.get_layer("norm").gamma))
    assert ratio == pytest.approx(beta / gamma, rel=1e-6)


@pytest.mark.parametrize("per_example", [True, False])
def test_errors_of_the_ratio_are_those_of_a_jackknife(double, per_example):
    """The delta method's error is the jackknife's to first order in 1 / n."""
    model, count, m = convolutional(), 60, 1 if per_example else 2
    x, y = examples_for(model, count)
    arguments = {} if per_example else {"batch_size": m}
    result = connectivity(model, crossentropy, (x, y), per_example=per_example, **arguments)
    rows = []
    for i in range(0, count, m):
        part = x[i : i + m], y[i : i + m]
        c = connectivity(model, crossentropy, part, per_example=per_example, **arguments)
        rows.append(
            [c.by_variable[getattr(model.get_layer("norm"), v).path] for v in ("beta", "gamma")]
        )
    betas, gammas = np.array(rows).T
    left_out = (betas.sum() - betas) / (gammas.sum() - gammas)
    n = len(rows)
    jackknife = np.sqrt((n - 1) / n * np.square(left_out - left_out.mean()).sum())
    (error,) = result.bias_ratio_errors.values()
    assert error == pytest.approx(jackknife, rel=0.1)
    independent = np.hypot(betas.std() / betas.mean(), gammas.std() / gammas.mean())
    independent *= betas.mean() / gammas.mean() / n**0.5
    assert abs(independent - jackknife) > 0.1 * jackknife  # so the covariance is seen


def test_one_example_has_no_error_of_the_ratio():
    model = convolutional()
    x, y = examples_for(model, 1)
    (error,) = connectivity(model, crossentropy, (x, y)).bias_ratio_errors.values()
    assert np.isnan(error)


def test_equals_what_the_optimizer_sees_in_an_update():
    model = convolutional(GhostBatchNormalization, ghost_batch_size=4)
    x, y = examples_for(model, 12)
    result = connectivity(model, crossentropy, (x, y), per_example=False, training=True)
    model.compile(tf_bdecay.Lamb(0.01), keras.losses.SparseCategoricalCrossentropy(True))
    model.fit(x, y, batch_size=12, shuffle=False, verbose=0)  # ghost batches follow the order
    decision = model.optimizer.decision()
    np.testing.assert_allclose(decision.sensitivity, list(result.by_variable.values()), rtol=1e-4)
    np.testing.assert_allclose(decision.bias_ratio, list(result.bias_ratio.values()), rtol=1e-4)


def test_sparse_unused_scalar_and_empty_variables():
    class Odd(layers.Layer):
        def build(self, shape):
            self.unused = self.add_weight(shape=(2,), initializer="ones", name="unused")
            self.scalar = self.add_weight(shape=(), initializer="ones", name="scalar")
            self.empty = self.add_weight(shape=(0, 3), name="empty")

        def call(self, x):
            return x * self.scalar + keras.ops.sum(self.empty)

    model = keras.Sequential(
        [keras.Input((4,), dtype="int32"), layers.Embedding(6, 3), Odd(), layers.Flatten()]
    )
    model.add(layers.Dense(CLASSES))
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, (EXAMPLES, 4)), rng.integers(0, CLASSES, EXAMPLES)
    result = connectivity(model, crossentropy, (x, y))
    by_name = {path.split("/")[-1]: c for path, c in result.by_variable.items()}
    assert by_name["unused"] == by_name["empty"] == 0
    np.testing.assert_allclose(
        list(result.by_variable.values()), loop_over_examples(model, x, y), rtol=1e-4
    )


def test_several_inputs_and_outputs():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    hidden = layers.Concatenate()([a, b])
    model = keras.Model({"a": a, "b": b}, [layers.Dense(1)(hidden), layers.Dense(2)(hidden)])
    rng = np.random.default_rng(0)
    x = {"a": rng.normal(size=(5, 2)), "b": rng.normal(size=(5, 3))}
    y = (rng.normal(size=(5, 1)), rng.normal(size=(5, 2)))

    def loss(targets, outputs):
        return sum(tf.reduce_sum((t - o) ** 2, 1) for t, o in zip(targets, outputs, strict=True))

    y = tuple(part.astype("float32") for part in y)
    result = connectivity(model, loss, (x, y))
    outputs = model(x)
    assert result.loss == pytest.approx(float(tf.reduce_mean(loss(y, outputs))), rel=1e-5)
    with pytest.raises(BadInput, match="Received: 5, 4 and 5, 5"):
        connectivity(model, loss, ({**x, "b": x["b"][:4]}, y))


@pytest.mark.parametrize("at_once", [0, -1, 2.5, True, "all"])
def test_examples_at_once_must_be_a_number_of_examples(at_once):
    model = convolutional()
    with pytest.raises(BadInput, match="whole number >= 1"):
        connectivity(model, crossentropy, examples_for(model), examples_at_once=at_once)


def test_a_batch_in_training_mode_is_not_cut():
    model = convolutional()
    with pytest.raises(BadInput, match="the 11 examples are one batch"):
        connectivity(
            model,
            crossentropy,
            examples_for(model),
            per_example=False,
            training=True,
            examples_at_once=4,
        )


@pytest.mark.parametrize("per_example", [True, False])
def test_a_loss_that_averages_is_refused(per_example):
    model = convolutional()
    with pytest.raises(BadInput, match="already averages"):
        connectivity(
            model,
            lambda y, logits: tf.reduce_mean(crossentropy(y, logits)),
            examples_for(model),
            per_example=per_example,
        )


def test_c_m_of_half_precision_variables_is_measured():
    keras.utils.set_random_seed(0)
    x, y = np.random.default_rng(0).normal(size=(8, 4)).astype("float32"), np.arange(8) % 3
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    half = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype="bfloat16")])
    half.set_weights(model.get_weights())
    one, other = (connectivity(m, loss, (x, y), per_example=False) for m in (model, half))
    assert other.total == pytest.approx(one.total, rel=0.03)
