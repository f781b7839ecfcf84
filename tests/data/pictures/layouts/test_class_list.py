"""Class names that are read from a text file."""

import numpy as np
import pytest

from tests.data.pictures import folder
from tf_bdecay.data.pictures.layouts import class_list
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("name", ["classes.txt", "classnames.txt", "label.labels.txt"])
def test_names_are_the_lines(tmp_path, name):
    assert class_list.read(tmp_path) is None
    folder.write(tmp_path, {name: "ant\ngreat white shark\nKöter\n"})
    assert class_list.read(tmp_path) == ("ant", "great white shark", "Köter")


@pytest.mark.parametrize(
    "text, wrong", [("ant\n\nbee", "empty lines"), ("", "empty lines"), ("a\nb\na\n", "'a'")]
)
def test_a_class_a_line(tmp_path, text, wrong):
    folder.write(tmp_path, {"classes.txt": text})
    with pytest.raises(BadInput, match=rf"classes.txt must name a class on each line.*{wrong}"):
        class_list.read(tmp_path)


@pytest.mark.parametrize("labels, right", [([0, 1], 1), ([1, 2], 1), ([0, 2], 0), ([1, 3], 0)])
def test_labels_count_the_names_from_0_or_1(labels, right):
    if right:
        class_list.check(("a", "b"), np.array(labels), "x")
        return
    with pytest.raises(BadInput, match=f"Labels in x must be of the 2 .* to {labels[1]}"):
        class_list.check(("a", "b"), np.array(labels), "x")
