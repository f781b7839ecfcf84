"""tools/reproducing/on_jax/feed.py makes exactly the batches of the TensorFlow path."""

import itertools

import numpy as np
import pytest

from tf_bdecay import data
from tf_bdecay.data.image_set import Augmentation, ImageSet, Split
from tools.reproducing.on_jax import feed


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    splits = [
        Split(random.integers(0, 256, (n, 6, 5, 3), np.uint8), random.integers(0, 7, n))
        for n in (50, 23)
    ]
    more = {"mean": (0.5, 0.4, 0.3), "deviation": (0.2, 0.3, 0.4)}
    return ImageSet("made", 7, *splits, augmentation=Augmentation(padding=2, flip=True), **more)


@pytest.mark.parametrize("augment", [True, False])
def test_batches_are_those_of_the_tensorflow_path(images, augment):
    pixels = feed.pixels(images)
    theirs = iter(data.training_batches(images, 16, seed=5, augment=augment))
    for epoch in (0, 1):
        choices = feed.choices(images, 16, 5, epoch, augment)
        assert choices.examples.shape == (3, 16)
        for chosen, (x, y) in zip(zip(*choices, strict=True), theirs, strict=False):
            ours, labels = feed.batch(pixels, feed.Choices(*chosen), 2)
            ours = feed.standardise(ours, images.mean, images.deviation)
            np.testing.assert_array_equal(labels, y)
            np.testing.assert_allclose(ours, x, rtol=1e-6, atol=1e-6)


def test_a_split_is_cut_and_what_fills_it_up_does_not_count(images):
    found = feed.examples(images.test, 10)
    assert found.images.shape == (3, 10, 6, 5, 3)
    counted = np.asarray(found.counts)
    assert counted.sum() == 23
    np.testing.assert_array_equal(np.asarray(found.images)[counted], images.test.images)
    np.testing.assert_array_equal(np.asarray(found.labels)[counted], images.test.labels)
    assert feed.examples(images.test, 100).images.shape[:2] == (1, 23)


def test_epochs_follow_one_another_as_there(images):
    """The first batch of epoch 3 is the tenth of the stream."""
    x, _ = next(itertools.islice(iter(data.training_batches(images, 16, seed=5)), 9, 10))
    chosen = (part[0] for part in feed.choices(images, 16, 5, 3))
    ours, _ = feed.batch(feed.pixels(images), feed.Choices(*chosen), 2)
    ours = feed.standardise(ours, images.mean, images.deviation)
    np.testing.assert_allclose(ours, x, rtol=1e-6, atol=1e-6)
