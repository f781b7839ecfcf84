"""Splits of arrays: what fits together, and what is set aside by class."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.sets import image_set_of, split_of
from tf_bdecay.data import Augmentation, Split
from tf_bdecay.data.image_set import channel_statistics, set_aside
from tf_bdecay.errors import BadInput


def images_of(count, shape=(2, 2, 1), dtype=np.uint8):
    return np.zeros((count, *shape), dtype)


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (images_of(3, dtype=np.float32), np.zeros(3, np.int64), "uint8.*float32"),
        (images_of(3, shape=(2, 2)), np.zeros(3, np.int64), r"channels\].*\[3, 2, 2\]"),
        (images_of(3), np.zeros(4, np.int64), r"Labels of 3 images.*\[4\]"),
        (images_of(3), np.zeros((3, 1), np.int64), r"Labels of 3 images.*\[3, 1\]"),
        (images_of(3), np.zeros(3, np.float32), "int64.*float32"),
        (images_of(3).tolist(), np.zeros(3, np.int64), "`images` of a split.*Received: list"),
        (images_of(3), [0, 1, 2], "`labels` of a split.*Received: list"),
        (images_of(0), np.zeros(0, np.int64), r"needs images.*\[0, 2, 2, 1\]"),
    ],
)
def test_arrays_that_are_no_split_are_refused(images, labels, sentence):
    with pytest.raises(BadInput, match=sentence):
        Split(images, labels)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"padding": -1}, "whole number >= 0. Received: padding=-1"),
        ({"padding": 1.5}, "padding=1.5"),
        ({"padding": "4"}, "padding='4'"),
        ({"padding": True}, "padding=True"),
        ({"flip": "no"}, "`flip` must be True or False. Received: flip='no'"),
    ],
)
def test_augmentation_that_cannot_be_done_is_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        Augmentation(**{"padding": 4, "flip": True, **arguments})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_classes": 16}, "in 0, ..., 15. Received in test: 16 at index 6"),
        ({"train": split_of(10, first_label=-1)}, "Received in train: -1 at index 0"),
        ({"test": split_of(7, shape=(6, 6, 3))}, r"\[6, 5, 3\].*Received in test: \[6, 6, 3\]"),
        ({"validation": split_of(2, shape=(6, 5, 1))}, "Received in validation"),
        ({"mean": (0.5,)}, "each of its 3 channels"),
        ({"deviation": (0.2, 0.0, 0.2)}, "deviation > 0"),
    ],
)
def test_a_set_that_does_not_fit_together_is_refused(change, sentence):
    with pytest.raises(BadInput, match=sentence):
        dataclasses.replace(image_set_of(), **change)


def test_splits_are_found_by_name():
    images = image_set_of(validation=3)
    assert images.split("train") is images.train
    assert images.split("validation") is images.validation
    with pytest.raises(BadInput, match="did you mean 'validation'"):
        images.split("validatoin")
    with pytest.raises(BadInput, match="without a validation split"):
        image_set_of().split("validation")


@given(
    counts=st.lists(st.integers(4, 30), min_size=2, max_size=6),
    fraction=st.floats(0.25, 0.75),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_set_aside_is_disjoint_complete_and_stratified(counts, fraction, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    numbers = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    rest, part = set_aside(Split(numbers, labels), fraction, seed)

    assert len(part) == round(fraction * len(labels))
    in_rest, in_part = rest.images.ravel(), part.images.ravel()
    np.testing.assert_array_equal(np.sort(np.append(in_rest, in_part)), numbers.ravel())
    for half, chosen in ((rest, in_rest), (part, in_part)):
        np.testing.assert_array_equal(half.labels, labels[chosen])
        assert (np.diff(chosen.astype(int)) > 0).all()
    # The part's size is rounded, by at most half an image over all classes.
    share = len(part) / len(labels)
    assert (np.abs(np.bincount(part.labels) - share * np.array(counts)) < 1).all()


def test_the_seed_chooses_what_is_set_aside():
    split = Split(split_of(60).images, np.repeat(np.arange(3), 20))
    parts = [set_aside(split, 0.5, seed)[1].images for seed in (0, 0, 1)]
    np.testing.assert_array_equal(parts[0], parts[1])
    assert (parts[0] != parts[2]).any()


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_a_part_without_room_for_every_class_is_refused(fraction):
    split = Split(split_of(60).images, np.repeat(np.arange(3), 20))
    with pytest.raises(BadInput, match="images of all 3 classes"):
        set_aside(split, fraction, 0)


def test_statistics_standardise_each_channel():
    images = split_of(50).images
    images[..., 1] //= 2
    mean, deviation = channel_statistics(images)
    standardised = (images / 255 - mean) / deviation
    np.testing.assert_allclose(standardised.mean((0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose((standardised**2).mean((0, 1, 2)), 1, rtol=1e-12)
