"""CIFAR is read without TensorFlow: the same images in the same order."""

import shutil

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


def test_a_folder_without_a_whole_version_is_none_that_is_prepared(tmp_path):
    (tmp_path / "cifar10" / "3.0.2.incomplete").mkdir(parents=True)
    with pytest.raises(BadInput, match="cifar10 is not prepared in"):
        prepared.read("cifar10", tmp_path)


@pytest.mark.parametrize(
    "file, change, words",
    [
        (
            "cifar100-train.tfrecord-00000-of-00001",
            lambda content: b"",
            "has 0 records, and should have 200",
        ),
        ("cifar100-train.tfrecord-00000-of-00001", lambda content: b"half", "record 0 is cut"),
        ("cifar100-test.tfrecord-00000-of-00001", lambda content: content[:-9], "99 is cut short"),
        (
            "cifar100-test.tfrecord-00000-of-00001",
            lambda content: content[:-1] + bytes([content[-1] ^ 1]),
            "record 99 has a wrong checksum",
        ),
        ("cifar100-test.tfrecord-00000-of-00001", None, "no test split"),
        ("dataset_info.json", lambda content: b"{}", "dataset_info.json must be as"),
    ],
    ids=range(6),
)
def test_a_broken_copy_is_a_sentence(folder, tmp_path, file, change, words):
    copy = tmp_path / "cifar100"
    shutil.copytree(folder / "cifar100", copy)
    path = copy / "3.0.2" / file
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BadInput, match=f"cifar100 in {tmp_path} cannot be read: put .*{words}"):
        prepared.read("cifar100", tmp_path)
