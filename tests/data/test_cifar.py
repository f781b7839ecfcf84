"""CIFAR as tensorflow-datasets lays it out, beside the images of noise that were written."""

import os
import pathlib
import re
import socket

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data import sets
from tf_bdecay.data import load
from tf_bdecay.errors import BadInput

VARIABLE = "TF_BDECAY_DATA_DIR"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("looked at the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A few images of noise as tensorflow-datasets lays out CIFAR-100, and what is in them."""
    folder = tmp_path_factory.mktemp("prepared")
    return folder, sets.prepare_cifar100(folder)


@pytest.mark.parametrize("as_path", [str, pathlib.Path])
def test_a_prepared_set_is_read_without_the_network(prepared, no_network, as_path):
    folder, splits = prepared
    images = load("cifar100", data_dir=as_path(folder))
    assert (images.num_classes, images.image_shape) == (100, (32, 32, 3))
    for name, stored in splits.items():
        read = images.split(name)
        assert {
            (i.tobytes(), int(label)) for i, label in zip(read.images, read.labels, strict=True)
        } == {(example["image"].tobytes(), example["label"]) for example in stored}


def test_validation_is_taken_from_the_training_images_by_class(prepared):
    folder, _ = prepared
    images = load("cifar100", data_dir=folder, validation=0.5)
    np.testing.assert_array_equal(np.bincount(images.train.labels), np.ones(100))
    np.testing.assert_array_equal(np.bincount(images.validation.labels), np.ones(100))
    assert len(images.test) == 100


def test_a_missing_set_is_named_with_the_folder_and_the_command(tmp_path, no_network):
    with pytest.raises(BadInput) as caught:
        load("cifar10", data_dir=str(tmp_path))
    sentence = str(caught.value)
    assert sentence.startswith(f"cifar10 is not prepared in {tmp_path}: ")
    command = "tf-bdecay train --config=cifar10_resnet18"
    assert f"`{command} --data_dir={tmp_path} --download --dry_run`" in sentence
    assert not list(tmp_path.iterdir())


def test_the_default_folder_is_that_of_tensorflow_datasets(no_network):
    folder = os.path.expanduser(tfds.core.constants.DATA_DIR)
    if os.path.exists(folder):
        pytest.skip("this machine has prepared sets of its own")
    with pytest.raises(BadInput, match=re.escape(f"not prepared in {folder}: ")):
        load("cifar10")


def test_a_broken_copy_is_a_sentence(prepared, tmp_path):
    folder, _ = prepared
    for file in folder.rglob("*.*"):
        if file.is_file():
            copy = tmp_path / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            content = file.read_bytes()
            copy.write_bytes(content[: len(content) // 2] if "tfrecord" in file.name else content)
    with pytest.raises(BadInput, match="train split of cifar100.*cannot be read: delete"):
        load("cifar100", data_dir=tmp_path)


def test_a_download_that_fails_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cifar10 could not be downloaded to"):
        load("cifar10", data_dir=tmp_path / "file", download=True)


@pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no prepared sets")
@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_the_real_sets_have_the_statistics_that_standardise_them(name, classes):
    images = load(name, data_dir=os.environ[VARIABLE])
    assert (len(images.train), len(images.test)) == (50_000, 10_000)
    np.testing.assert_array_equal(np.bincount(images.train.labels), 50_000 // classes)
    np.testing.assert_array_equal(np.bincount(images.test.labels), 10_000 // classes)
    pixels = images.train.images / 255
    np.testing.assert_allclose(pixels.mean((0, 1, 2)), images.mean, atol=1e-4)
    np.testing.assert_allclose(pixels.std((0, 1, 2)), images.deviation, atol=1e-4)
