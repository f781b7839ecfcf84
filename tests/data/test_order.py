"""Orders visit every example once, and seeds, epochs and purposes draw differently."""

import math

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_bdecay.data.order import (
    CROP,
    FLIP,
    ORDER,
    SHIFT,
    epoch_order,
    epochs_from,
    fold_in,
    key,
    permutation,
)


@settings(deadline=None, max_examples=30)
@given(
    count=st.integers(1, 300),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 2**40),
)
def test_an_epoch_visits_every_example_once(count, seed, epoch):
    order = epoch_order(count, seed, tf.constant(epoch, tf.int64)).numpy()
    np.testing.assert_array_equal(np.sort(order), np.arange(count))


@given(st.integers(1, 300), st.integers(0, 2**32 - 1), st.integers(0, 2**40))
def test_a_permutation_without_tensorflow_visits_every_example_once(count, seed, epoch):
    np.testing.assert_array_equal(np.sort(permutation(count, seed, epoch)), np.arange(count))


def test_permutations_differ_by_seed_and_epoch_and_are_uniform():
    orders = {tuple(permutation(50, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    first = [permutation(4, 7, epoch)[0] for epoch in range(4000)]
    counts = np.bincount(first, minlength=4)
    assert abs(counts - 1000).max() < 5 * np.sqrt(4000 * 3 / 16)  # five standard deviations


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
        for purpose in (ORDER, SHIFT, FLIP, CROP)
    }
    assert len(keys) == 64


def test_numbers_below_a_key_have_keys_of_their_own():
    """Of epoch 0 and number 1 another than of epoch 1 and number 0."""
    keys = {
        tuple(fold_in(key(0, tf.constant(epoch, tf.int64), ORDER), number).numpy())
        for epoch in range(5)
        for number in range(5)
    }
    assert len(keys) == 25


@settings(deadline=None, max_examples=10)
@given(start=st.integers(0, 10**12), per_epoch=st.integers(1, 7))
def test_from_any_update_on_every_update_of_every_epoch_comes_once(start, per_epoch):
    epochs, updates_of = epochs_from(start, per_epoch)
    pairs = epochs.flat_map(lambda epoch: updates_of(epoch).map(lambda update: (epoch, update)))
    found = [(int(e), int(u)) for e, u in pairs.take(9).as_numpy_iterator()]
    assert found == [divmod(update, per_epoch) for update in range(start, start + 9)]
