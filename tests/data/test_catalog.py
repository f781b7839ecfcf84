"""Sets by name: their sizes, classes and parts, beside the arrays themselves."""

import numpy as np
import pytest

from tf_bdecay.data import catalog, load
from tf_bdecay.errors import BadInput


def rows(split):
    return {
        (*image.ravel(), label) for image, label in zip(split.images, split.labels, strict=True)
    }


def test_digits_are_the_set_that_needs_nothing():
    images = load("digits")
    assert (images.name, images.num_classes, images.image_shape) == ("digits", 10, (8, 8, 1))
    assert images.validation is None
    assert (images.augmentation.padding, images.augmentation.flip) == (1, False)


def test_names_of_classes_are_known_where_the_set_has_them():
    assert catalog.classes_of("digits") == load("digits").classes == tuple("0123456789")
    assert catalog.classes_of("cifar100") is catalog.classes_of("pictures") is None


def test_the_size_of_a_set_is_known_without_reading_it():
    images = load("digits")
    assert catalog.size_of("digits") == (len(images.train), images.image_shape, images.num_classes)


def test_validation_comes_out_of_training_and_leaves_the_test_split_alone():
    whole, divided = load("digits", seed=5), load("digits", seed=5, validation=0.1)
    assert len(divided.validation) == 144
    np.testing.assert_array_equal(divided.test.images, whole.test.images)
    train, validation = rows(divided.train), rows(divided.validation)
    assert not train & validation
    assert train | validation == rows(whole.train)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "cifr10"}, "Unknown dataset 'cifr10': did you mean 'cifar10'"),
        ({"name": ["cifar10"]}, r"Unknown dataset \['cifar10'\]: did you mean 'cifar10'"),
        ({"name": None}, "Unknown dataset None: valid: digits"),
        ({"validation": 1.0}, r"in \[0, 1\). Received: validation=1.0"),
        ({"validation": -0.1}, "validation=-0.1"),
        ({"validation": 0.9999}, "`validation`=0.9999 of the 1438 images cannot be set aside"),
        ({"validation": float("nan")}, "validation=nan"),
        ({"validation": "0.1"}, "validation='0.1'"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"data_dir": "somewhere"}, "leave data_dir out"),
        ({"download": True}, "leave download out. Received: download=True"),
    ],
)
def test_arguments_that_are_not_right_are_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        load(**{"name": "digits", **arguments})


def test_fewer_images_are_the_first_of_one_permutation_whatever_the_seed():
    few, more = (load("digits", images=n).train for n in (100, 200))
    np.testing.assert_array_equal(few.images, more.images[:100])
    np.testing.assert_array_equal(few.labels, more.labels[:100])
    with pytest.raises(BadInput, match="at most the 1438 training images.*images=1439"):
        load("digits", images=1439)


def test_downsampling_takes_means_of_squares_and_shrinks_the_crop():
    whole, small = load("digits"), load("digits", downsample=2)
    assert (small.image_shape, small.augmentation.padding) == ((4, 4, 1), 1)
    mean = whole.test.images[7, 2:4, 4:6, 0].astype(float).mean()
    assert small.test.images[7, 1, 2, 0] == np.rint(mean)
    np.testing.assert_array_equal(small.train.labels, whole.train.labels)
    with pytest.raises(BadInput, match="divide the images' sides, 8x8. Received: downsample=3"):
        load("digits", downsample=3)
