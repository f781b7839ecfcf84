"""The data sets that a config names."""

import numpy as np
import pytest

from configs import digits_resnet18, imagenet_tiny
from tests.data.pictures.in_memory import write_folders
from tf_bdecay import data
from tf_bdecay.data.strong_augmentation import StrongAugmentation
from tf_bdecay.errors import BadInput
from tf_bdecay.training.building import datasets
from tf_bdecay.training.config.checks import check
from tf_bdecay.training.config.dotted import flatten


@pytest.fixture
def source(tmp_path):
    """Two class folders of 5 pictures."""
    return write_folders(tmp_path / "pictures", "ab", 10)


def config_of(source, **changes):
    config = imagenet_tiny.get_config()
    config.update_from_flattened_dict({"data.source": str(source), **changes})
    return config


def test_a_known_set_is_that_of_the_config():
    config = digits_resnet18.get_config()
    config.data.images, config.data.validation, config.data.downsample, config.seed = 300, 0.1, 2, 3
    found = datasets.load(flatten(config))
    wanted = data.load("digits", seed=3, validation=0.1, images=300, downsample=2)
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(found.split(name).images, wanted.split(name).images)


def test_a_run_of_before_some_keys_had_all_images_in_their_size():
    flat = flatten(digits_resnet18.get_config())
    del flat["data.images"], flat["data.downsample"]
    found = datasets.load(flat)
    np.testing.assert_array_equal(found.train.images, data.load("digits").train.images)


def test_pictures_are_those_of_the_config(source):
    changes = {"data.size": 30, "data.shorter": 40, "data.validation": 0.25, "data.images": 10}
    changes |= {"data.least_area": 0.5, "data.held_out": 0.2, "seed": 4}
    changes |= {"data.antialias": False}
    found = datasets.load(flatten(config_of(source, **changes)))
    assert (len(found.train), len(found.validation), len(found.test)) == (6, 2, 2)
    assert (found.size, found.shorter, found.least_area, found.flip) == (30, 40, 0.5, False)
    assert not found.antialias
    other = datasets.load(flatten(config_of(source, **{**changes, "seed": 5})))
    assert other.record() != found.record()


def test_no_source_and_what_is_not_of_pictures(source):
    with pytest.raises(BadInput, match="Set --config.data.source=PATH"):
        datasets.load(flatten(imagenet_tiny.get_config()))
    with pytest.raises(BadInput, match="leave --data_dir and --download out"):
        datasets.load(flatten(config_of(source)), data_dir="sets")
    config = config_of(source)
    config.data.shorter = 47
    with pytest.raises(BadInput, match="config.data.shorter must be at least config.data.size=48"):
        check(config)


def test_one_class_is_nothing_to_train_on(tmp_path):
    source = write_folders(tmp_path / "pictures", "a", 5)
    with pytest.raises(
        BadInput, match="two classes or more to train on. Received in .*: 'a' alone"
    ):
        datasets.load(flatten(config_of(source)))


def test_stronger_augmentation_is_that_of_the_config(source):
    config = config_of(source)
    assert datasets.strong_augmentation(config) == StrongAugmentation()
    config.data.randaugment, config.data.cutmix = 3, 1.0
    found = datasets.strong_augmentation(config)
    assert found == StrongAugmentation(operations=3, magnitude=0.3, cutmix=1.0)
    config.data.randaugment_magnitude, config.data.mixup = 0.0, 0.2
    found = datasets.strong_augmentation(config)
    assert (found.magnitude, found.mixup) == (0.0, 0.2)
    datasets.load(flatten(config))  # to which it is nothing
