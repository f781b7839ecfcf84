"""Evaluation of the averaged weights as well: its results, and all that it leaves unchanged."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_bdecay
from tests.training import small
from tf_bdecay import callbacks
from tf_bdecay.callbacks.averages import averages_of
from tf_bdecay.errors import BadInput

X, Y = small.digits(128)


def trainer(momentum=0.5, use_ema=True, **arguments):
    optimizer = tf_bdecay.SGD(0.1, compile_update=False, use_ema=use_ema, ema_momentum=momentum)
    return small.trainer(optimizer, **arguments)


def fit(made, epochs=2, more=(), **arguments):
    precise = callbacks.PreciseStatistics((X, Y), 2, batch_size=64)
    average = callbacks.AveragedWeights((X, Y), precise, batch_size=64)
    history = made.fit(
        X, Y, batch_size=64, epochs=epochs, shuffle=False, verbose=0,
        callbacks=[average, precise, *more], **arguments,
    ).history  # fmt: skip
    return average, history


def test_the_averages_metrics_and_weights_that_stay():
    """The average by its formula; the weights are those of a run without averages."""
    made, plain = trainer(), trainer(use_ema=False)
    trajectory = []

    class Looks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            trajectory.append(small.values(self.model.trainable_variables))

    plain.fit(X, Y, batch_size=64, epochs=2, shuffle=False, verbose=0, callbacks=[Looks()])
    average, history = fit(made, validation_data=(X, Y))
    expected = trajectory[0]
    for weights in trajectory[1:]:
        expected = [0.5 * a + 0.5 * w for a, w in zip(expected, weights, strict=True)]
    for a, b in zip(made.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for (variable, value), own, right in zip(
        averages_of(made.optimizer), made.trainable_variables, expected, strict=True
    ):
        assert variable is own
        np.testing.assert_allclose(value, right, rtol=1e-5, atol=1e-6)
    with average.averaged():
        for a, b in zip(made.trainable_variables, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        loss, accuracy = made.evaluate(X, Y, batch_size=64, verbose=0)
    assert history["val_loss_average"][-1] == loss
    assert history["val_accuracy_average"][-1] == accuracy
    assert history["val_loss_average"][-1] != history["val_loss"][-1]
    for a, b in zip(made.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_with_momentum_0_it_is_the_weights():
    _, history = fit(trainer(momentum=0.0), validation_data=(X, Y))
    assert history["val_loss_average"] == history["val_loss"]
    assert history["val_accuracy_average"] == history["val_accuracy"]


def test_an_epoch_without_an_evaluation_has_none():
    _, history = fit(trainer(), validation_data=(X, Y), validation_freq=2)
    assert len(history["loss"]) == 2 and len(history["val_loss_average"]) == 1


class Interrupts(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt


@pytest.mark.parametrize("interrupted", [False, True])
def test_without_it_fit_still_ends_as_keras_does(interrupted):
    made = trainer()
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            fit(made, more=[Interrupts()])
    fit(made, epochs=1)
    for variable, value in averages_of(made.optimizer):
        assert not np.array_equal(variable, value)
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            fit(made, more=[Interrupts()])
    made.fit(X, Y, batch_size=64, verbose=0)
    for variable, value in averages_of(made.optimizer):
        np.testing.assert_array_equal(variable, value)


def test_a_stock_model_under_loss_scaling_with_a_data_set():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01, use_ema=True))
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(64)
    average = callbacks.AveragedWeights(data)
    history = model.fit(data, validation_data=data, verbose=0, callbacks=[average]).history
    assert [*history] == ["loss", "val_loss", "val_loss_average"]
    assert history["val_loss_average"] != history["val_loss"]


def test_a_list_as_validation_data_is_a_pair_as_for_fit():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    optimizer = tf_bdecay.SGD(0.1, compile_update=False, use_ema=True)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    pair = [X[:64], Y[:64]]
    average = callbacks.AveragedWeights(pair)
    history = model.fit(*pair, validation_data=pair, verbose=0, callbacks=[average]).history
    assert [*history] == ["loss", "val_loss", "val_loss_average"]
    with pytest.raises(BadInput, match="AveragedWeights reads.*gives them once.*list_iterator"):
        model.fit(*pair, verbose=0, callbacks=[callbacks.AveragedWeights(iter([pair]))])
    with pytest.raises(BadInput, match="must be validation data, .* Received: data=None"):
        model.fit(*pair, verbose=0, callbacks=[callbacks.AveragedWeights(None)])


def test_before_a_first_update_there_is_no_average():
    assert averages_of(trainer().optimizer) == []


def test_what_cannot_be_averaged_is_refused():
    precise = callbacks.PreciseStatistics((X, Y), 2, batch_size=64)
    with pytest.raises(BadInput, match="needs an optimizer with use_ema=True.*SGD"):
        trainer(use_ema=False).fit(
            X, Y, verbose=0, callbacks=[callbacks.AveragedWeights((X, Y), precise)]
        )
    with pytest.raises(BadInput, match="statistics of this model.*PreciseStatistics"):
        trainer().fit(X, Y, verbose=0, callbacks=[callbacks.AveragedWeights((X, Y))])
    with pytest.raises(BadInput, match="`statistics` of AveragedWeights must be.*Received.*30"):
        callbacks.AveragedWeights((X, Y), 30)
