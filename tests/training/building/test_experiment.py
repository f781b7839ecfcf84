"""What `build` checks, and what it makes."""

import keras
import numpy as np
import pytest

from tests.training.made import config_of
from tf_bdecay.errors import BadInput
from tf_bdecay.training.building import datasets, experiment
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.step.trainer import Trainer


def test_build_makes_all_that_an_update_needs():
    made = experiment.build(config_of())
    assert isinstance(made.trainer, Trainer) and made.strategy is None
    shared = zip(made.model.variables, made.trainer.variables, strict=False)
    assert all(a is b for a, b in shared) and len(made.model.variables) > 100
    optimizer = made.trainer.optimizer
    assert optimizer.built and len(optimizer.roles.pairs) == 20
    variables = [v.path for v in made.trainer.metrics_variables]
    assert len(variables) >= 4  # loss and accuracy, before a first batch
    size = made.size
    assert size.total_updates == size.updates_per_epoch == 4
    assert float(made.schedule(0)) < size.peak


def test_the_seed_decides_the_initial_weights():
    def weights(seed):
        made = experiment.build(config_of(seed=seed))
        return made.model.get_weights()

    first, again, other = weights(1), weights(1), weights(2)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_precision_of_a_run_ends_with_its_making(small):
    made = experiment.build(config_of(precision="mixed_bfloat16"))
    assert keras.config.dtype_policy().name == "float32"
    assert {v.dtype for v in made.model.trainable_variables} == {"float32"}


def test_images_that_are_loaded_already(small):
    config = config_of()
    images = datasets.load(flatten(config))
    assert experiment.build(config, images=images).images is images


def test_a_batch_that_is_larger_than_the_set_is_refused():
    with pytest.raises(BadInput, match="batch_size=4096 is larger than the 1438 training images"):
        experiment.build(config_of(batch_size=4096))


def test_the_description_says_how_pictures_are_mixed(small):
    mixed = experiment.describe(experiment.build(config_of(**{"data.mixup": 0.2})))
    assert "augmentation   MixUp (alpha 0.2) of two pictures each; training accuracy is" in mixed
    assert "augmentation " not in experiment.describe(experiment.build(config_of()))


def test_the_description_names_what_was_resolved():
    config = config_of(**{"micro_batch_size": 32, "precision": "mixed_bfloat16"})
    text = experiment.describe(experiment.build(config))
    for path in flatten(config):
        assert f"config.{path} = " in text
    for words in (
        "digits: 1,438 images to train on, 359 to test on, 8x8x1, 10 classes",
        "resnet18, width 4: ",
        "352 images on 1 replica, 32 at a time, in mixed_bfloat16",
        "4 an epoch, 1 epochs: 4",
    ):
        assert words in text
    assert text.count("/gamma") >= 20  # the role of every variable
