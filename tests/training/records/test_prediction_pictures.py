"""The two pictures of predictions, as Matplotlib draws them."""

import warnings

import numpy as np
import pytest
from PIL import Image

from tf_bdecay.training.records import prediction_pictures as pictures
from tf_bdecay.training.records.predictions import Mistake, Predictions

pytestmark = pytest.mark.any_backend


def predictions(classes, wrong, mistakes=()):
    """Ten pictures a class, all right but those of `wrong`: (true, predicted) to a number."""
    labels = np.repeat(np.arange(classes), 10)
    predicted = labels.copy()
    for (true, other), number in wrong.items():
        free = np.flatnonzero((labels == true) & (predicted == true))
        predicted[free[:number]] = other
    return Predictions(labels, predicted, tuple(mistakes))


def test_the_matrix_has_the_counts_where_they_belong():
    found = predictions(4, {(0, 3): 2, (2, 1): 1})
    (axis, _) = pictures._matrix(found, list("abcd")).axes
    cells = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in axis.texts}
    assert cells == {
        (0, 0): "8", (0, 3): "2", (1, 1): "10", (2, 2): "9", (2, 1): "1", (3, 3): "10"
    }  # fmt: skip
    np.testing.assert_allclose(axis.images[0].get_array()[0], [0.8, 0, 0, 0.2])
    assert [t.get_text() for t in axis.get_yticklabels()] == list("abcd")


def test_many_classes_are_their_most_confused_pairs():
    found = predictions(40, {(i, i + 1): 1 + i % 9 for i in range(38)})
    (axis,) = pictures._pairs(found, [f"c{i}" for i in range(40)]).axes
    labels = [t.get_text() for t in axis.get_yticklabels()]
    assert len(labels) == 30 and labels[:2] == ["c8 taken for c9", "c17 taken for c18"]
    widths = [bar.get_width() for bar in axis.patches]
    assert widths == sorted(widths, reverse=True) and widths[0] == 9
    assert axis.texts[0].get_text() == "9 of 10"


@pytest.mark.parametrize("classes", [2, 10, 31])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_names_and_numbers_of_classes_can_be_drawn(tmp_path, classes, channels):
    hard = ["a$b$c_^{", "Kätzchen", "猫", "a/long/path/to/the/folder/of/the/class", "", "\\frac"]
    names = [hard[i % len(hard)] for i in range(classes)]
    picture = np.full((5, 8, channels), 0.5, "float32")
    found = predictions(classes, {(0, 1): 3}, [Mistake(picture, 0, 1, 0.75)] * 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.draw_confusion(tmp_path / "c.png", found, names, "a run of $x$")
        pictures.draw_mistakes(tmp_path / "m.png", found, names, "a run of $x$")
    for name in ("c.png", "m.png"):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 300


def test_no_mistake_at_all_is_drawn_too(tmp_path):
    for classes in (3, 31):
        found = predictions(classes, {})
        pictures.draw_confusion(tmp_path / "c.png", found, ["x"] * classes, "run")
        pictures.draw_mistakes(tmp_path / "m.png", found, ["x"] * classes, "run")
        assert (tmp_path / "m.png").stat().st_size > 1000


def test_a_long_name_keeps_its_end():
    short = pictures._short("animals/dogs/working/saint_bernard")
    assert len(short) == 24 and short.endswith("saint_bernard") and short.startswith("animals/")
