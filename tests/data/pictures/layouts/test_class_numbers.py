"""What numbers mean, beside tables and kits written here in the order that they tell."""

import numpy as np
import pytest
from scipy.io import savemat

from tests.data.pictures import folder
from tf_bdecay.data.pictures.layouts import class_numbers
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend

CLASSES = ("n01", "n02", "n03")
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
KIT = {1: "n03", 2: "n01", 3: "n02", 4: "n99"}  # its order is another, and it has inner nodes


def labels(path, numbers, named=False, file="labels.txt", classes=CLASSES, **beside):
    root = folder.write(path, {"val": {}, **beside})
    return class_numbers.labels(f"{path}/{file}", f"{root}/val", np.array(numbers), classes, named)


def meta(path):
    rows = [(number, name, "words", 0) for number, name in KIT.items()]
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    savemat(path, {"synsets": np.array(rows, kinds)})
    return path.read_bytes()


def test_numbers_beside_names_count_the_classes_in_order(tmp_path):
    found, words = labels(tmp_path, [2, 0, 1, 1], named=True)
    np.testing.assert_array_equal(found, [2, 0, 1, 1])
    assert "in order of name, from 0" in words


@pytest.mark.parametrize("number, named", [(3, True), (4, True)])
def test_a_number_out_of_range_is_refused(tmp_path, number, named):
    with pytest.raises(BadInput, match=f"the 3 classes, 0 to 2, .*Received: {number}"):
        labels(tmp_path, [1, 2, number], named)


def test_numbers_alone_are_refused(tmp_path):
    with pytest.raises(BadInput, match="put classes.txt beside it, of lines NUMBER CLASS"):
        labels(tmp_path, [0, 1, 2])


@pytest.mark.parametrize(
    "file, table",
    [
        ("classes.txt", "1 n03\n2 n01\n3 n02\n"),
        ("classes.txt", "n03\nn01\nn02\n"),
        ("synset_words.txt", "n03 goldfish, Carassius\nn01 tench\nn02 a shark, 3 m long\n"),
        ("map_clsloc.txt", "n03 1 kit_fox\nn02 3 English_setter\nn01 2 x\nn99 4 y\n"),
    ],
)
def test_a_table_tells_the_order(tmp_path, file, table):
    found, words = labels(tmp_path, [1, 2, 3, 3], **{file: table})
    np.testing.assert_array_equal(found, [2, 0, 1, 1])
    assert file in words


def test_a_table_that_counts_from_0(tmp_path):
    found, _ = labels(tmp_path, [0, 1, 2, 2], **{"LOC_synset_mapping.txt": "n01 a\nn02 b\nn03 c"})
    np.testing.assert_array_equal(found, [0, 1, 2, 2])


def test_the_kit_numbers_are_never_taken_for_the_order_of_names(tmp_path):
    words = {"synset_words.txt": "n01 tench\nn02 fish\nn03 shark\n"}
    with pytest.raises(BadInput, match="development kit, not of their names: put its meta.mat"):
        labels(tmp_path, [1, 2, 3], file=TRUTH, **words)
    with pytest.raises(BadInput, match="1 to 3, may count from 0 or from 1"):
        labels(tmp_path, [1, 2, 3], **words)  # the same file by another name


@pytest.mark.parametrize("at", ["beside", "in the kit"])
def test_the_kit_tells_its_own_order(tmp_path, at):
    tree = {"meta.mat": meta(tmp_path / "made.mat")}
    tree = tree if at == "beside" else {"ILSVRC2012_devkit_t12": {"data": tree}}
    found, words = labels(tmp_path / "set", [1, 2, 3, 1], file=TRUTH, **tree)
    np.testing.assert_array_equal(found, [2, 0, 1, 2])
    assert "meta.mat" in words


@pytest.mark.parametrize(
    "numbers, table, words",
    [
        ([1, 4], "1 n03\n2 n01\n3 n02\n4 n99", "that have a folder in train/.*: 4, which has none"),
        ([0, 1], "1 n03\n2 n01\n3 n02\n", "the 3 classes, 1 to 3, .*Received: 0"),
        ([1, 2], "1 n03\n2 n01\n", "must name all the classes.*Received none for: 'n02'"),
        ([1, 2], "n03\nn01\nn02", "1 to 2, may count from 0 or from 1"),
        ([1, 2], "n03\nn03\nn02", "must name each class once"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, numbers, table, words):
    with pytest.raises(BadInput, match=words):
        labels(tmp_path, numbers, **{"classes.txt": table})


def test_a_kit_that_is_none_is_named(tmp_path):
    with pytest.raises(BadInput, match="meta.mat must be that of ImageNet's development kit"):
        labels(tmp_path, [1], file=TRUTH, **{"meta.mat": "text"})


def test_folders_that_are_called_by_numbers_are_meant_by_them(tmp_path):
    classes = ("01", "02", "10")
    found, _ = labels(tmp_path, [10, 1, 2], classes=classes)
    np.testing.assert_array_equal(found, [2, 0, 1])
    with pytest.raises(BadInput, match="Received: 0"):
        labels(tmp_path, [0, 1, 2], classes=classes)


def test_a_class_is_known_by_a_folder_that_no_other_has():
    known = class_numbers.by_name(("a/images", "b/images", "c"))
    assert known == {"a": 0, "a/images": 0, "b": 1, "b/images": 1, "c": 2}
