"""The digits, beside scikit-learn's own arrays."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tf_bdecay.data import digits, load


def test_all_images_are_there_once_and_keep_their_contrast():
    train, test = digits.read(seed=3)
    assert (len(train), len(test)) == (1438, 359)
    images = np.concatenate([train.images, test.images])[..., 0]
    labels = np.concatenate([train.labels, test.labels])
    assert (images.min(), images.max()) == (0, 255)

    source = load_digits()
    ours = np.column_stack([np.rint(images.reshape(1797, -1) * (16 / 255)), labels])
    theirs = np.column_stack([source.data, source.target])
    np.testing.assert_array_equal(
        ours[np.lexsort(ours.T)].astype(int), theirs[np.lexsort(theirs.T)].astype(int)
    )


def test_a_fifth_of_each_class_is_for_testing():
    train, test = digits.read(seed=0)
    by_class = np.bincount(test.labels)
    share = 359 / 1797 * (by_class + np.bincount(train.labels))
    assert (np.abs(by_class - share) < 1).all()


def test_seeds_divide_differently():
    first, again, other = (digits.read(seed)[1].images for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_standardised_by_the_images_that_are_trained_on():
    images = load("digits", validation=0.25)
    pixels = images.train.images / 255
    assert images.mean == pytest.approx((pixels.mean(),))
    assert images.deviation == pytest.approx((pixels.std(),))
