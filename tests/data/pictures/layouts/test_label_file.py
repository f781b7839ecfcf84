"""Files of labels, beside the labels that were written into them."""

import numpy as np
import pytest

from tests.data.pictures import folder
from tf_bdecay.data.pictures.layouts import label_file
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

NAMES = ["a.JPEG", "b 1.JPEG", "c,2.JPEG", "d.JPEG"]
CLASSES = ("cat", "golden retriever", "n01")
RIGHT = [1, 0, 2, 1]


def read(path, file, text, names=NAMES, classes=CLASSES, **beside):
    root = folder.write(path, {"val": {}, file: text, **beside})
    return label_file.read(f"{path}/{file}", f"{root}/val", names, classes)


@pytest.mark.parametrize(
    "file, text",
    [
        (
            "labels.txt",
            "a.JPEG golden retriever\nb 1.JPEG cat\nc,2.JPEG n01\nd.JPEG golden retriever",
        ),
        ("labels.txt", "d.JPEG\t1\r\nb 1.JPEG\t0\r\n\r\nc,2.JPEG\t2\r\na.JPEG\t1\r\n"),
        ("labels.txt", "val/a.JPEG 1\nval/b 1.JPEG 0\nval/c,2.JPEG 2\n/x/val/d.JPEG 1"),
        ("labels.csv", '\ufeffa.JPEG,1\nb 1.JPEG,0\n"c,2.JPEG",2\nd.JPEG,1\n'),
        ("labels.csv", "filename,label\na.JPEG,1\nb 1.JPEG,0\nc,2.JPEG,2\nd.JPEG,1\n"),
        ("labels.txt", "a 1\nb 1 0\nc,2 2\nd 1\n"),
    ],
)
def test_lines_of_name_and_label(tmp_path, file, text):
    labels, words = read(tmp_path, file, text)
    np.testing.assert_array_equal(labels, RIGHT)
    assert labels.dtype == np.int64
    assert file in words


def test_as_kaggle_has_imagenet(tmp_path):
    text = (
        "ImageId,PredictionString\na,n02 1 2 3 4\nb 1,n01 9 9 9 9 n01 1 1 1 1\nc,2,n03 1\nd,n02\n"
    )
    labels, _ = read(tmp_path, "LOC_val_solution.csv", text, classes=("n01", "n02", "n03"))
    np.testing.assert_array_equal(labels, RIGHT)


def test_names_of_classes_alone_are_in_the_order_of_pictures(tmp_path):
    labels, words = read(tmp_path, "val_labels.txt", "golden retriever\ncat\nn01\ngolden retriever")
    np.testing.assert_array_equal(labels, RIGHT)
    assert "a line for each picture in order of name" in words


def test_numbers_alone_are_no_names_of_pictures(tmp_path):
    with pytest.raises(BadInput, match="has only numbers, of which it is not certain"):
        read(tmp_path, "labels.txt", "1\n2\n0\n", ["0.png", "1.png", "2.png"])


def test_an_order_that_may_be_two_is_refused(tmp_path):
    names = ["1.png", "10.png", "2.png"]
    with pytest.raises(BadInput, match="'10.png' has another place in the order of letters"):
        read(tmp_path, "labels.txt", "cat\ncat\nn01\n", names)
    labels, _ = read(tmp_path, "labels.txt", "10 cat\n2 n01\n1.png n01\n", names)
    np.testing.assert_array_equal(labels, [2, 0, 2])


@pytest.mark.parametrize(
    "text, words",
    [
        ("a.JPEG 0\nb 1.JPEG 0\n", "Received 2 pictures without a line, the first 'c,2.JPEG'"),
        ("a.JPEG 0\nz.JPEG 0\ny.JPEG 1", "Received 2 lines without a picture, the first 'z.JPEG'"),
        ("a.JPEG 0\na.JPEG 1\n", "each picture once. Received for 'a.JPEG': '0' and '1'"),
        ("0\n1\n2\n", "a line for each of 4 pictures. Received: 3 lines"),
        ("", "a line for each of 4 pictures. Received: 0 lines"),
        ("cat\ncat\nn01\nn02\n", "Received: 'n02': did you mean 'n01'"),
        ("cat\n1\n1\n1\n", "Received: '1'"),
        ("a 1\nb 1 -1\nc,2 1\nd 1", "Received: '1'"),
    ],
)
def test_a_file_that_does_not_fit_the_pictures_is_refused(tmp_path, text, words):
    with pytest.raises(BadInput, match=words):
        read(tmp_path, "labels.txt", text)


@pytest.mark.parametrize("at", ["", "val/"])
@pytest.mark.parametrize(
    "name", ["labels.csv", "val_labels.txt", "LOC_val_solution.csv", "val.txt"]
)
def test_the_file_is_found_in_the_folder_or_beside_it(tmp_path, at, name):
    root = folder.write(tmp_path, {"val": {}})
    assert label_file.find(f"{root}/val", "validation") is None
    folder.write(f"{root}/{at}{name}", "")
    assert label_file.find(f"{root}/val", "validation") == f"{root}/{at}{name}"
    assert label_file.is_one(name)
    assert label_file.find(f"{root}/val", "test") == (
        f"{root}/{at}{name}" if name == "labels.csv" else None
    )


def test_of_two_files_neither_is_chosen(tmp_path):
    root = folder.write(tmp_path, {"val": {"labels.txt": ""}, "val_labels.txt": ""})
    with pytest.raises(
        BadInput, match=r"one file. Received: '\S+/val_labels.txt', '\S+/labels.txt'"
    ):
        label_file.find(f"{root}/val", "validation")


def test_test_pictures_may_be_without_labels_and_no_others(tmp_path):
    root = folder.write(tmp_path, {"val": {}})
    shown = ("x.tar", f"{root}/val", NAMES, CLASSES)
    note = (None, "x.tar left out, since its pictures have no labels")
    assert label_file.labels_of(None, "test", *shown) == note
    with pytest.raises(BadInput, match=r"in x\.tar are in .* a file validation_labels\.txt in or"):
        label_file.labels_of(None, "validation", *shown)
    folder.write(tmp_path, {"labels.txt": "".join(f"{name} cat\n" for name in NAMES)})
    for split in ("test", "validation"):
        found = label_file.find(f"{root}/val", split)
        labels, words = label_file.labels_of(found, split, *shown)
        assert labels.tolist() == [0] * 4 and words == f"class names in {root}/labels.txt"
