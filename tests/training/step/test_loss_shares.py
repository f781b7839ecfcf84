"""The mean of the micro-batches' shares of the loss is the loss of the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_bdecay
from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import keras_private
from tf_bdecay.training.step.loss_shares import Share, loss_shares

SIZE, COUNT = 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(SIZE * COUNT, 5)).astype("float32")
Y = RNG.integers(0, 3, SIZE * COUNT)
WEIGHTS = RNG.uniform(0.1, 5, SIZE * COUNT).astype("float32")


def shares_of(loss, y=Y, weights=None):
    """Shares of one loss on a plain classifier, and its outputs for X."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    trainer = tf_bdecay.Trainer(inputs, keras.layers.Dense(3)(inputs))
    trainer.compile(keras.optimizers.SGD(), loss)
    keras_private.build_loss(trainer, tf.constant(y))
    data = tf.constant(X), tf.constant(y), None if weights is None else tf.constant(weights)
    (share,), masks = loss_shares(trainer, data, SIZE, COUNT)
    assert masks == [None]
    return share, trainer(X).numpy()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("ignored", [None, 1])
def test_the_mean_over_micro_batches_is_the_loss_of_the_batch(reduction, weighted, ignored):
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction=reduction, ignore_class=ignored
    )
    weights = WEIGHTS if weighted else None
    share, outputs = shares_of(loss, weights=weights)
    whole = float(loss(Y, outputs, weights))
    parts = []
    for k in range(COUNT):
        part = slice(k * SIZE, (k + 1) * SIZE)
        w = None if weights is None else weights[part]
        parts.append(float(share.of(loss, k)(Y[part], outputs[part], w)))
    assert np.mean(parts) == pytest.approx(whole, rel=1e-5)


def test_a_plain_mean_is_used_as_it_is():
    loss = keras.losses.MeanSquaredError()
    assert Share().of(loss, 0) is loss


def test_a_batch_of_which_all_is_ignored_has_no_loss():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1)
    share, outputs = shares_of(loss, y=np.ones_like(Y))
    for k in range(COUNT):
        part = slice(k * SIZE, (k + 1) * SIZE)
        assert float(share.of(loss, k)(np.ones(SIZE, int), outputs[part])) == 0


def test_a_loss_that_is_no_number_is_refused():
    with pytest.raises(BadInput, match="reduction=None"):
        shares_of(keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None))
