"""Crops and flips beside those of NumPy, and their draws beside what chance allows."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data import sets
from tf_bdecay.data import Augmentation
from tf_bdecay.data.augment import crop_and_flip, draws, standardise

EPOCH = tf.constant(3, tf.int64)


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(*[st.integers(1, 7)] * 2, st.sampled_from([1, 3])),
    padding=st.integers(0, 3),
    seed=st.integers(0, 2**16),
)
def test_crops_and_flips_are_those_of_numpy(shape, padding, seed):
    images = sets.split_of(8, shape, seed=seed).images
    draw = np.random.default_rng(seed)
    offsets = draw.integers(0, 2 * padding + 1, (8, 2)).astype(np.int32)
    flips = draw.random(8) < 0.5
    made = crop_and_flip(tf.constant(images), offsets, flips, padding)
    expected = [
        sets.crop_and_flip(*one, padding) for one in zip(images, offsets, flips, strict=True)
    ]
    np.testing.assert_array_equal(made, expected)


def test_the_offset_of_the_padding_changes_nothing():
    images = sets.split_of(4).images
    made = crop_and_flip(tf.constant(images), tf.fill([4, 2], 2), tf.zeros([4], tf.bool), 2)
    np.testing.assert_array_equal(made, images)


def test_shifts_are_uniform_and_independent_of_each_other_and_of_flips():
    offsets, flips = draws(81_000, Augmentation(padding=4, flip=True), 0, EPOCH)
    counts = np.zeros((9, 9, 2))
    np.add.at(counts, (offsets[:, 0], offsets[:, 1], tf.cast(flips, tf.int32)), 1)
    assert (np.abs(counts - 500) < 5 * np.sqrt(500)).all()
    assert np.abs(counts[..., 1].sum() / 81_000 - 0.5) < 5 * 0.5 / np.sqrt(81_000)


def test_what_is_not_to_be_flipped_is_not():
    offsets, flips = draws(1000, Augmentation(padding=1, flip=False), 0, EPOCH)
    assert not flips.numpy().any()
    assert set(offsets.numpy().ravel()) == {0, 1, 2}


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": tf.constant(4, tf.int64)}])
def test_seeds_and_epochs_draw_differently(change):
    arguments = {"seed": 0, "epoch": EPOCH}
    first, again, other = (
        draws(200, Augmentation(4, True), **{**arguments, **changed})
        for changed in ({}, {}, change)
    )
    for one, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert (one.numpy() != different.numpy()).mean() > 0.3


def test_pixels_are_standardised_by_channel():
    images = sets.image_set_of(20)
    made = standardise(images.train.images, images.mean, images.deviation)
    assert made.dtype == tf.float32
    np.testing.assert_allclose(made, sets.standardise(images.train.images, images), atol=1e-6)
