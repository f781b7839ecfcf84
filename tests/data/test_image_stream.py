"""Batches of any update, beside a NumPy stream of the same draws."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data import sets
from tf_bdecay.data import evaluation_batches, training_batches, updates_per_epoch
from tf_bdecay.data.augment import draws
from tf_bdecay.data.order import epoch_order

IMAGES = sets.image_set_of(10)


def take(batches, count, start=0):
    return list(batches.skip(start).take(count).as_numpy_iterator())


def expected_batch(images, batch_size, seed, update, remainder):
    """Batch number `update` in NumPy, from the draws of its epoch."""
    count = len(images.train)
    per_epoch = updates_per_epoch(count, batch_size, remainder)
    epoch, place = divmod(update, per_epoch)
    epoch = tf.constant(epoch, tf.int64)
    chosen = epoch_order(count, seed, epoch).numpy()
    chosen = chosen[place * batch_size : (place + 1) * batch_size]
    offsets, flips = (d.numpy() for d in draws(count, images.augmentation, seed, epoch))
    cropped = [
        sets.crop_and_flip(
            images.train.images[i], offsets[i], flips[i], images.augmentation.padding
        )
        for i in chosen
    ]
    return sets.standardise(np.array(cropped), images), images.train.labels[chosen]


@settings(deadline=None, max_examples=8)
@given(
    batch_size=st.integers(1, 10),
    seed=st.integers(0, 2**32 - 1),
    start=st.integers(0, 10**15),
    remainder=st.sampled_from(["drop", "keep"]),
)
def test_any_update_can_be_the_first(batch_size, seed, start, remainder):
    """Starts beyond reach for a stream that would have to go through what it skips."""
    batches = training_batches(IMAGES, batch_size, seed, start, remainder)
    for update, (x, y) in enumerate(take(batches, 4), start):
        x_expected, y_expected = expected_batch(IMAGES, batch_size, seed, update, remainder)
        np.testing.assert_array_equal(y, y_expected)
        np.testing.assert_allclose(x, x_expected, atol=1e-6)


@pytest.mark.parametrize("remainder", ["drop", "keep"])
@pytest.mark.parametrize("start", [1, 3, 4, 5, 11])
@pytest.mark.quick_rows(5)
def test_a_resumed_stream_is_the_tail_bit_for_bit(remainder, start):
    whole = take(training_batches(IMAGES, 3, 7, 0, remainder), 8, start)
    resumed = take(training_batches(IMAGES, 3, 7, start, remainder), 8)
    for (x, y), (x_resumed, y_resumed) in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(x, x_resumed)
        np.testing.assert_array_equal(y, y_resumed)


def epoch_of(batch_size, epoch=0, seed=0, remainder="keep", images=IMAGES):
    """The examples of an epoch by label."""
    per_epoch = updates_per_epoch(len(images.train), batch_size, remainder)
    batches = training_batches(images, batch_size, seed, epoch * per_epoch, remainder)
    return [(y, x) for xs, ys in take(batches, per_epoch) for x, y in zip(xs, ys, strict=True)]


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_an_epoch_has_every_example_once_with_an_augmentation_of_its_own(batch_size):
    first = epoch_of(batch_size, epoch=2)
    assert sorted(y for y, _ in first) == list(range(10))
    reference = dict(epoch_of(4, epoch=2))
    for label, x in first:
        np.testing.assert_array_equal(x, reference[label])


def test_dropping_leaves_out_other_examples_each_epoch():
    left_out = {
        tuple(sorted(set(range(10)) - {y for y, _ in epoch_of(4, epoch, remainder="drop")}))
        for epoch in range(6)
    }
    assert {len(names) for names in left_out} == {2}
    assert len(left_out) > 1


def test_epochs_and_seeds_differ_in_order_and_augmentation():
    for other in (epoch_of(10, epoch=1), epoch_of(10, seed=1)):
        first = epoch_of(10)
        assert [y for y, _ in first] != [y for y, _ in other]
        again = dict(other)
        assert sum((x != again[label]).any() for label, x in first) > 5


def test_without_augmentation_the_order_is_the_same_and_pixels_are_as_they_are():
    (x, y), *_ = take(training_batches(IMAGES, 5, 0, augment=False), 1)
    (_, order), *_ = take(training_batches(IMAGES, 5, 0), 1)
    np.testing.assert_array_equal(y, order)
    np.testing.assert_allclose(x, sets.standardise(IMAGES.train.images[y], IMAGES), atol=1e-6)


def test_shapes_are_static_where_all_batches_have_one_size():
    def leading(*arguments, **options):
        x, y = training_batches(*arguments, **options).element_spec
        assert (x.dtype, y.dtype) == (tf.float32, tf.int64)
        assert x.shape[1:] == (6, 5, 3)
        assert x.shape[0] == y.shape[0]
        return x.shape[0]

    assert leading(IMAGES, 4, 0, remainder="drop") == 4
    assert leading(IMAGES, 4, 0, remainder="keep") is None
    assert leading(IMAGES, 5, 0, remainder="keep") == 5
    assert leading(IMAGES, 4, 0, augment=False) == 4


@pytest.mark.parametrize("split_name", ["train", "validation", "test"])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 12, 1000])
def test_evaluation_has_every_example_once_as_it_is(split_name, batch_size):
    images = sets.image_set_of(12, test=7, validation=6)
    split = images.split(split_name)
    batches = evaluation_batches(images, split_name, batch_size)
    read = take(batches, 100)
    assert batches.cardinality() == len(read) == -(-len(split) // batch_size)
    assert all(len(y) == batch_size for _, y in read[:-1])
    np.testing.assert_array_equal(np.concatenate([y for _, y in read]), split.labels)
    np.testing.assert_allclose(
        np.concatenate([x for x, _ in read]), sets.standardise(split.images, images), atol=1e-6
    )


def test_streams_of_one_set_do_not_disturb_each_other():
    pair = zip(*(training_batches(IMAGES, 5, 0) for _ in range(2)), strict=True)
    for (x, _), (again, _) in itertools.islice(pair, 6):
        np.testing.assert_array_equal(x, again)
