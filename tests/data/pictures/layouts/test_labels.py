"""Labels as they are stored, and names of their classes in a text file."""

import numpy as np
import pytest

from tests.data.pictures import folder
from tf_bdecay.data.pictures.layouts.labels import (
    check_all_named,
    labels_of_splits,
    read_class_names,
)
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_numbers_stay_as_they_are(kind):
    labels, classes = labels_of_splits("p", {"train": np.array([3, 1, 2], kind)})
    assert classes is None
    labels_of_splits("p", {"train": np.array([5, 1], kind)}, named=True)  # with gaps, too
    assert labels["train"].dtype == np.int64
    np.testing.assert_array_equal(labels["train"], [3, 1, 2])


@pytest.mark.parametrize("kind", [str, object])
def test_words_are_numbered_in_order_over_all_splits(kind):
    stored = {"train": np.array(["n9", "b", "n10"], kind), "test": np.array(["n10", "n9"], kind)}
    labels, classes = labels_of_splits("p", stored)
    assert classes == ("b", "n10", "n9")
    np.testing.assert_array_equal(labels["train"], [2, 0, 1])
    np.testing.assert_array_equal(labels["test"], [1, 2])


@pytest.mark.parametrize(
    "train, test, words",
    [
        ([0, 1], [1, 2], "in test alone: 2"),
        (["a", "b"], ["z", "a", "y"], "in test alone: 'y', 'z'"),
        (["0", "1"], [0, 1], "Received words in 'train' alone"),
        ([0, 5, 1], [0], "without gaps. Received labels from 0 to 5, and none of 2"),
        ([0, -1], [0], "must be numbers >= 0. Received in train of p: -1, at 1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(train, test, words):
    with pytest.raises(BadInput, match=words):
        labels_of_splits("p", {"train": np.array(train), "test": np.array(test)})


@pytest.mark.parametrize("name", ["classes.txt", "classnames.txt", "label.labels.txt"])
def test_names_are_the_lines(tmp_path, name):
    assert read_class_names(tmp_path) is None
    folder.write(tmp_path, {name: "ant\ngreat white shark\nKöter\n"})
    assert read_class_names(tmp_path) == ("ant", "great white shark", "Köter")


@pytest.mark.parametrize(
    "text, wrong", [("ant\n\nbee", "empty lines"), ("", "empty lines"), ("a\nb\na\n", "'a'")]
)
def test_a_class_a_line(tmp_path, text, wrong):
    folder.write(tmp_path, {"classes.txt": text})
    with pytest.raises(BadInput, match=rf"classes.txt must name a class on each line.*{wrong}"):
        read_class_names(tmp_path)


@pytest.mark.parametrize("labels, right", [([0, 1], 1), ([1, 2], 1), ([0, 2], 0), ([1, 3], 0)])
def test_labels_count_the_names_from_0_or_1(labels, right):
    if right:
        check_all_named(("a", "b"), np.array(labels), "x")
        return
    with pytest.raises(BadInput, match=f"Labels in x must be of the 2 .* to {labels[1]}"):
        check_all_named(("a", "b"), np.array(labels), "x")
