"""Names of pictures, splits and shards, by lists of examples and by Pillow's own suffixes."""

import os

import pytest
from PIL import Image

from tf_bdecay.data.pictures.layouts import names
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def test_every_suffix_is_one_that_pillow_reads():
    readable = {end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert readable >= names.PICTURES
    assert {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".ppm"} <= names.PICTURES
    assert not {".pdf", ".mpg", ".h5"} & names.PICTURES


@pytest.mark.parametrize("name", ["a.JPEG", "b.c.jpg", "Ω.Png"])
def test_pictures(name):
    assert names.is_picture(name)


@pytest.mark.parametrize("name", ["jpg", ".jpg", "._a.jpg", "a.jpg.txt", "Thumbs.db", "a"])
def test_no_pictures(name):
    assert not names.is_picture(name)


@pytest.mark.parametrize(
    "name", [".DS_Store", ".ipynb_checkpoints", "__MACOSX", "Thumbs.db", "desktop.ini"]
)
def test_hidden(name):
    assert names.is_hidden(name)
    assert not names.is_hidden("a" + name)


@pytest.mark.parametrize(
    "folder, split",
    [("train", "train"), ("VAL", "validation"), ("valid", "validation"), ("test", "test")]
    + [("trainer", None), ("val2", None), ("", None)],
)
def test_splits_of_folders(folder, split):
    assert names.split_named(folder) == split


@pytest.mark.parametrize(
    "file, split",
    [("train-00000-of-00003.parquet", "train"), ("val_01.tar", "validation"), ("test.tar", "test")]
    + [("train2017.tar", "train"), ("valley.tar", None), ("my_train.tar", None)],
)
def test_splits_of_files(file, split):
    assert names.split_of_file(file) == split


def test_what_is_shown_can_be_printed():
    assert names.printable(os.fsdecode(b"/caf\xe9/\xc3\xa9")) == r"/caf\xe9/é"
    names.listed([os.fsdecode(b"caf\xe9")]).encode()


def test_a_few_are_listed_and_the_rest_counted():
    assert names.listed("abc") == "'a', 'b', 'c'"
    assert names.listed(map(str, range(1205))).endswith("'4' and 1,200 more")


def test_shards_are_one_set_and_all_there():
    whole = [("a", "00001", "00002"), ("a", "00000", "00002")]
    names.check_all_shards("p", [])
    names.check_all_shards("p", whole)
    with pytest.raises(BadInput, match="All 2 shards of a must be in p. Missing: 0. .* -of-00001"):
        names.check_all_shards("p", whole[:1])
    for other in (("b", "00000", "00001"), ("a", "00002", "00003")):
        with pytest.raises(
            BadInput, match=rf"one set of shards. .* in p: 'a-\*-of-00002', '{other[0]}"
        ):
            names.check_all_shards("p", [*whole, other])


def test_classes_of_splits_are_compared():
    names.check_classes("p", {"train": ("a", "b"), "validation": ("b", "a")})
    names.check_classes("p", {"test": ("a",), "validation": ("b",)})
    with pytest.raises(BadInput, match="in p: 'c' in test alone; 'a' in train alone"):
        names.check_classes("p", {"train": ("a", "b"), "test": ("b", "c")})
