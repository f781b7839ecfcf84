"""CIFAR is read without TensorFlow: the same images in the same order."""

import numpy as np
import pytest

from tests.data import sets
from tf_bdecay.data import cifar, prepared
from tf_bdecay.errors import BadInput


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    sets.prepare_cifar100(folder)
    return folder


def test_images_and_order_are_tensorflows(folder):
    for ours, theirs in zip(
        prepared.read("cifar100", folder), cifar.read("cifar100", folder), strict=True
    ):
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.labels, theirs.labels)


def test_a_missing_set_and_a_download_are_sentences(folder, tmp_path):
    with pytest.raises(BadInput, match=f"cifar10 is not prepared in {tmp_path}"):
        prepared.read("cifar10", tmp_path)
    with pytest.raises(BadInput, match="downloaded with TensorFlow alone"):
        prepared.read("cifar100", folder, download=True)


@pytest.mark.parametrize("content", [b"", b"half", b"\x05" + bytes(7) + bytes(4) + b"\x0a\x7f"])
def test_a_broken_copy_is_a_sentence(tmp_path, content):
    place = tmp_path / "cifar10" / "3.0.2"
    place.mkdir(parents=True)
    (place / "dataset_info.json").write_text("{}")
    (place / "cifar10-train.tfrecord-00000-of-00001").write_bytes(content)
    with pytest.raises(BadInput, match="The train split of cifar10 .* cannot be read"):
        prepared.read("cifar10", tmp_path)
