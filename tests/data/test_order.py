import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_bdecay.data import updates_per_epoch
from tf_bdecay.data.order import FLIP, ORDER, SHIFT, epoch_order, key
from tf_bdecay.errors import BadInput


@given(st.data())
def test_updates_cut_an_epoch_into_batches(data):
    count = data.draw(st.integers(1, 10**7))
    batch = data.draw(st.integers(1, count))
    dropped = updates_per_epoch(count, batch, "drop")
    kept = updates_per_epoch(count, batch, "keep")
    assert dropped * batch <= count < (dropped + 1) * batch
    assert kept == math.ceil(count / batch)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((10, 11, "drop"), "at most the number of examples, 10. Received: batch_size=11"),
        ((10, 11, "keep"), "batch_size=11"),
        ((10, 0, "drop"), "batch_size=0"),
        ((10, 2.5, "drop"), "batch_size=2.5"),
        ((10, True, "drop"), "batch_size=True"),
        ((0, 1, "drop"), "num_examples=0"),
        ((10, 5, "dropp"), "Unknown remainder 'dropp': did you mean 'drop'"),
        ((10, 5, True), "Unknown remainder True"),
    ],
)
def test_arguments_that_are_not_right_are_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        updates_per_epoch(*arguments)


@settings(deadline=None, max_examples=30)
@given(
    count=st.integers(1, 300),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 2**40),
)
def test_an_epoch_visits_every_example_once(count, seed, epoch):
    order = epoch_order(count, seed, tf.constant(epoch, tf.int64)).numpy()
    np.testing.assert_array_equal(np.sort(order), np.arange(count))


def test_orders_of_seeds_and_epochs_differ():
    orders = {
        tuple(epoch_order(50, seed, tf.constant(epoch, tf.int64)).numpy())
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25


def test_every_example_comes_first_equally_often():
    epochs = tf.data.Dataset.range(1000).map(lambda epoch: epoch_order(5, 0, epoch)[0])
    counts = np.bincount(list(epochs.as_numpy_iterator()))
    assert (np.abs(counts - 200) < 5 * math.sqrt(1000 * 0.2 * 0.8)).all()


def test_purposes_seeds_and_epochs_have_keys_of_their_own():
    keys = {
        tuple(key(seed, tf.constant(epoch, tf.int64), purpose).numpy())
        for seed in range(4)
        for epoch in range(4)
        for purpose in (ORDER, SHIFT, FLIP)
    }
    assert len(keys) == 48
