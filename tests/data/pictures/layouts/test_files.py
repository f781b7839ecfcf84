"""Listings of files, each of which is as long as its place in order."""

import os

import numpy as np
import pytest

from tests.data.pictures import folder
from tf_bdecay.data.pictures.layouts.files import Files, folder_of
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

NAMES = ["Ω.png", "b.png", os.fsdecode(b"\xff.png"), "a.png"]


@pytest.fixture
def records(tmp_path):
    """Two folders, each file as long as its place in order."""
    listings = []
    for label, name in enumerate(("x", "y")):
        files = {file: b"." * (4 * label + i) for i, file in enumerate(sorted(NAMES))}
        path = folder.write(tmp_path / name, files)
        listings.append(folder_of(path, name, NAMES, [len(files[file]) for file in NAMES]))
    return Files(listings)


def test_pictures_are_in_order_of_folder_then_name(records):
    assert [len(records.read(i)) for i in range(len(records))] == list(range(8))
    np.testing.assert_array_equal(records.labels, [0, 0, 0, 0, 1, 1, 1, 1])
    assert records.labels.dtype == np.int64


def test_a_listing_gives_its_names_back(tmp_path):
    listing = folder_of(tmp_path, "", NAMES, [1, 2, 3, 4])
    assert listing.listing() == sorted(NAMES)
    assert listing.sizes[listing.listing().index("a.png")] == 4


def test_labels_of_a_flat_folder_are_given(tmp_path):
    records = Files([folder_of(tmp_path, "", ["a.png", "b.png"], [0, 0])], [7, 3])
    assert records.labels.tolist() == [7, 3]


@pytest.mark.parametrize("size, words", [(1, "It had 2 bytes, and has 1"), (3, "and has more")])
def test_a_file_of_another_size_has_changed(records, size, words):
    with open(records.path(2), "wb") as file:
        file.write(b"." * size)
    with pytest.raises(BadInput, match=rf"Ω\.png has changed since it was listed.*{words}"):
        records.read(2)


def test_a_file_that_is_gone_is_named(records):
    os.remove(records.path(5))
    with pytest.raises(FileNotFoundError, match=r"^\S+b\.png is gone since it was listed"):
        records.read(5)
    assert len(records.read(6)) == 6
