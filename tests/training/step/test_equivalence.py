"""Micro-batches refuse models they would change, by name or by a trial on the model's own data."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tf_bdecay
from tf_bdecay.errors import BadInput
from tf_bdecay.training.step import equivalence

X = np.random.default_rng(0).normal(size=(16, 5)).astype("float32")
Y = np.random.default_rng(1).uniform(0.1, 1, size=(16, 3)).astype("float32")


class Centred(layers.Layer):
    """Looks at its whole batch."""

    def call(self, x):
        return x - ops.mean(x, 0, keepdims=True)


class Summed(layers.Layer):
    """Adds a loss that is a sum over examples, where the batch's is a mean."""

    def call(self, x):
        self.add_loss(ops.sum(ops.square(x)))
        return x


class Moving(layers.Layer):
    """Keeps a moving mean of its inputs, or their greatest value so far."""

    def __init__(self, greatest=False):
        super().__init__()
        self.greatest = greatest

    def build(self, shape):
        self.kept = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False)

    def call(self, x):
        new = ops.max(x, 0) if self.greatest else 0.5 * self.kept + 0.5 * ops.mean(x, 0)
        self.kept.assign(ops.maximum(self.kept, new) if self.greatest else new)
        return x


class Noisy(layers.Layer):
    """Draws random numbers of its own."""

    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seed)


def contrastive(_, y_pred):
    similarities = ops.matmul(y_pred, ops.transpose(y_pred))
    return -ops.diagonal(ops.log_softmax(similarities))


def trainer(layer=None, loss="mse", **arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    x = layers.Dense(4, activation="tanh")(inputs)
    x = layer(x) if layer else x
    made = tf_bdecay.Trainer.of(keras.Model(inputs, layers.Dense(3)(x)))
    made.compile(
        keras.optimizers.SGD(0.1), loss, micro_batch_size=4, jit_compile=False, **arguments
    )
    return made


REFUSED = {
    "a layer that looks at its batch": (lambda: trainer(Centred()), "outputs .*'centred.*Centred"),
    "an operation over the batch": (
        lambda: trainer(lambda x: x - ops.mean(x, axis=0, keepdims=True)),
        "outputs .*Mean",
    ),
    "Dice": (lambda: trainer(loss=keras.losses.Dice()), "losses .*the loss 'dice'"),
    "in-batch contrast": (lambda: trainer(loss=contrastive), "losses .*the loss 'contrastive'"),
    "a sum over activities": (lambda: trainer(Summed()), "losses .*Summed"),
    "state that is no mean": (lambda: trainer(Moving(greatest=True)), "new values of .*Moving"),
}


@pytest.mark.parametrize("make, words", REFUSED.values(), ids=REFUSED)
def test_what_depends_on_the_batch_is_refused_by_name(make, words):
    made = make()
    before = made.get_weights()
    with pytest.raises(BadInput, match="Micro-batches would change the update: .*" + words):
        made.fit(X, Y, batch_size=16, verbose=0)
    for a, b in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_spectral_normalization_is_refused():
    made = trainer(layers.SpectralNormalization(layers.Dense(4)))
    with pytest.raises(BadInput, match="A forward pass assigns 'spectral_.*kernel'"):
        made.fit(X, Y, batch_size=16, verbose=0)


def test_stateful_layers_and_losses_without_a_reduction_are_refused():
    inputs = keras.Input(batch_shape=(16, 3, 2))
    made = tf_bdecay.Trainer.of(keras.Model(inputs, layers.LSTM(2, stateful=True)(inputs)))
    with pytest.raises(BadInput, match="is stateful"):
        made.compile("sgd", "mse", micro_batch_size=4)
    made = trainer(loss=keras.losses.MeanSquaredError(reduction=None))
    with pytest.raises(BadInput, match="not reduced to one number, .* reduction=None"):
        made.fit(X, Y, batch_size=16, verbose=0)


def test_what_is_the_same_is_found_out_and_changes_nothing():
    """No weight, no state, no metric and no example is lost by the check."""
    found = []
    for micro_batch_size in (None, 4):
        made = trainer(Moving(), loss=lambda y, p: ops.mean(ops.square(y - p), -1))
        made.micro_batch_size = micro_batch_size
        parts = equivalence.unknown_parts(made)
        assert ["Moving" in part for part in parts] == [True, False] and "<lambda>" in parts[1]
        examples = ((X[i : i + 8], Y[i : i + 8]) for i in (0, 8))
        history = made.fit(examples, steps_per_epoch=2, verbose=0).history
        assert int(made.optimizer.iterations.numpy()) == 2
        found.append([*made.get_weights(), np.array(history["loss"])])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)


def test_micro_batches_are_checked_where_it_is_asked_for():
    assert trainer(layers.Dropout(0.5)).check_micro_batches(X, Y)
    assert not trainer().check_micro_batches(X[:1], Y[:1])  # nothing to cut
    with pytest.raises(BadInput, match="Micro-batches would change the update"):
        trainer(Centred()).check_micro_batches(X, Y)
    made = trainer(layers.Dropout(0.5))
    made.check_micro_batches(X, Y)
    assert [layer.rate for layer in made.layers if isinstance(layer, layers.Dropout)] == [0.5]


def test_random_numbers_of_a_layers_own_cannot_be_compared():
    with pytest.warns(UserWarning, match="draws random numbers of its own.*Noisy"):
        trainer(Noisy()).fit(X, Y, batch_size=16, verbose=0)


def test_what_is_known_is_not_tried():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3)(inputs)
    x = layers.Dropout(0.1)(tf_bdecay.layers.GhostBatchNormalization(4)(x)) + x
    made = tf_bdecay.Trainer.of(keras.Model(inputs, layers.Flatten()(layers.ReLU()(x))))
    made.compile("sgd", ["mse"], micro_batch_size=4)
    assert equivalence.unknown_parts(made) == []
    assert equivalence.checked_first(made, print) is print
