"""Which stronger augmentations can be asked for, and where they are refused."""

import importlib.metadata
import importlib.util
import sys

import pytest

from tests.data.sets import image_set_of
from tf_bdecay.data import training_batches
from tf_bdecay.data.strong_augmentation import StrongAugmentation
from tf_bdecay.errors import BadInput


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"operations": 0}, "`operations` must be a whole number >= 1. Received: operations=0"),
        ({"operations": True}, "operations=True"),
        ({"operations": 2, "magnitude": 1.5}, "`magnitude` must be a number >= 0 and <= 1"),
        ({"mixup": 0.0}, "`mixup` must be a number > 0. Received: mixup=0.0"),
        ({"cutmix": float("nan")}, "`cutmix` must be a number > 0. Received: cutmix=nan"),
        ({"cutmix": "1"}, "cutmix='1'"),
    ],
)
def test_values_that_are_not_right_are_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        StrongAugmentation(**arguments)


def test_words_say_what_is_done():
    assert StrongAugmentation().words() == ""
    one = StrongAugmentation(operations=1, magnitude=0.5)
    assert one.words().startswith("RandAugment (1 operation a picture, magnitude 0.5")
    all_of_it = StrongAugmentation(operations=2, mixup=0.2, cutmix=1).words()
    for part in ("2 operations", "then MixUp (alpha 0.2) or CutMix (alpha 1)", "training accuracy"):
        assert part in all_of_it


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_a_pair_in_two_parts_is_refused(name):
    strong = StrongAugmentation(**{name: 1.0})
    strong.check_parts("a batch", 7, 1)
    strong.check_parts("a batch", 12, 3)
    sentence = (
        "replicas=3 x pictures that are mixed=2 must divide a batch: use a multiple of 6, such as "
        "6 or 12, or this. Received: a batch = 9"
    )
    with pytest.raises(BadInput) as refused:
        strong.check_parts("a batch", 9, 3, "this")
    assert str(refused.value) == sentence
    StrongAugmentation(operations=2).check_parts("a batch", 9, 3)
    with pytest.raises(BadInput, match="must divide a batch"):
        training_batches(image_set_of(9), 9, 0, part=(0, 3), strong=strong)
    with pytest.raises(BadInput, match="Received: a batch = 3"):  # an epoch's last
        training_batches(image_set_of(9), 6, 0, 0, "keep", part=(0, 3), strong=strong)


def test_randaugment_of_grey_pictures_is_refused():
    sentence = "needs pictures of 3 channels, and those of noise have 1: leave it out"
    with pytest.raises(BadInput, match=sentence):
        training_batches(image_set_of(shape=(8, 8, 1)), 4, 0, strong=StrongAugmentation(1))


def test_without_keras_cv_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_cv", None)  # as where it is not installed
    sentence = r"is keras-cv's, which is not installed: pip install 'tf_bdecay\[augment\]'"
    with pytest.raises(BadInput, match=sentence):
        training_batches(image_set_of(), 4, 0, strong=StrongAugmentation(2))
    assert StrongAugmentation(2).versions() == {}
    training_batches(image_set_of(), 4, 0, strong=StrongAugmentation(mixup=1.0, cutmix=1.0))


def test_the_version_that_pixels_depend_on():
    if importlib.util.find_spec("keras_cv") is None:
        pytest.skip("keras-cv is not installed")
    version = importlib.metadata.version("keras-cv")
    assert StrongAugmentation(2).versions() == {"keras-cv": version}
    assert f"by keras-cv {version}" in StrongAugmentation(2).words()
    assert StrongAugmentation(mixup=1.0).versions() == {}
