"""The train step against Keras' own, on losses as well as weights: LAMB hides a wrong scale."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_bdecay
from tests.training.small import digits, network, trainer, values
from tf_bdecay.training.trainer import SmoothedCrossentropy, Trainer


def fitted(make, x, y, sample_weight=None, **arguments):
    keras.utils.set_random_seed(0)
    model = make(network())
    model.compile(
        optimizer=tf_bdecay.Lamb(0.01),
        loss=SmoothedCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="weighted")],
        jit_compile=False,
        **arguments,
    )
    history = model.fit(
        x, y, sample_weight=sample_weight, batch_size=64, epochs=3, shuffle=False, verbose=0
    )
    return model, history.history


@pytest.mark.parametrize("weighted", [False, True])
def test_it_equals_stock_keras_in_weights_moments_losses_and_metrics(weighted):
    x, y = digits()
    weights = np.linspace(0.1, 2, len(x)).astype("float32") if weighted else None
    ours, history = fitted(lambda m: Trainer(m.input, m.output), x, y, weights)
    stock, expected = fitted(lambda m: m, x, y, weights)
    assert history.keys() == expected.keys()
    for name in history:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)
    for a, b in zip(values(ours.variables), values(stock.variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert history["loss"][-1] < history["loss"][0]


def test_regularisation_is_part_of_the_objective():
    x, y = digits(64)
    for factor in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        model = network()
        model.layers[1].kernel.regularizer = keras.regularizers.L2(factor)
        made = Trainer(model.input, model.output)
        made.compile(tf_bdecay.SGD(0.0), SmoothedCrossentropy(), jit_compile=False)
        loss = made.fit(x, y, batch_size=64, verbose=0).history["loss"][0]
        if not factor:
            plain = loss
    penalty = float(np.square(model.layers[1].kernel.numpy()).sum())
    assert loss == pytest.approx(plain + penalty, rel=1e-5)


def test_the_optimizer_sees_the_sensitivity_of_the_batch():
    x, y = digits(64)
    made = trainer(tf_bdecay.SGD(0.0, weight_decay=tf_bdecay.decay.NoDecay()))
    for variable in made.trainable_variables:  # beta starts at 0 and would have no sensitivity
        if variable.path.endswith("beta"):
            variable.assign(np.linspace(-1, 1, 8))
    made.fit(x, y, batch_size=64, shuffle=False, verbose=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(y, made(x, training=True))
        )
    gradients = tape.gradient(loss, [v.value for v in made.trainable_variables])
    expected = [
        np.abs(g.numpy() * v.numpy()).sum()
        for g, v in zip(gradients, made.trainable_variables, strict=True)
    ]
    np.testing.assert_allclose(made.optimizer.decision().sensitivity, expected, rtol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothed_crossentropy_against_its_formula(smoothing):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 4)), np.array([0, 3, 1, 1, 2])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    target = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    expected = -(target * log_p).sum(-1).mean()
    for shape in ((5,), (5, 1)):
        loss = SmoothedCrossentropy(smoothing)(labels.reshape(shape), logits.astype("float32"))
        assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_the_loss_survives_serialisation():
    loss = keras.losses.deserialize(keras.losses.serialize(SmoothedCrossentropy(0.2)))
    assert loss.label_smoothing == 0.2


def test_a_trainer_can_be_saved_and_loaded(tmp_path):
    x, y = digits(64)
    made = trainer()
    made.fit(x, y, batch_size=64, verbose=0)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, Trainer)
    np.testing.assert_allclose(loaded(x[:8]), made(x[:8]), rtol=1e-6)
