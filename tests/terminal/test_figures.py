"""What all figures have in common, as Matplotlib draws it."""

import io
import os
import warnings

import pytest
from matplotlib.figure import Figure

from tf_bdecay.terminal.figures import COLOURS, STYLES, marker, over, save_picture, verbatim

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("name", ["a$x^$", "$", r"a\$x^$", "\\frac", "{_^", "猫"])
def test_any_name_is_drawn_letter_by_letter(name):
    figure = Figure()
    label = figure.suptitle(verbatim(name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_picture(figure, io.BytesIO(), dpi=50)
    text, formula = label._preprocess_math(label.get_text())  # what is drawn
    assert (text, bool(formula)) == (name, False)


def test_a_name_that_is_no_utf_8_is_drawn_with_its_bytes():
    assert verbatim(os.fsdecode(b"caf\xe9 \xc3\xa9")) == r"caf\xe9 é"


def test_few_points_are_marked():
    assert marker(range(19)) == "." and marker(range(20)) == ""


@pytest.mark.parametrize("last", [1, 2, 7, 300])
def test_epochs_are_whole_numbers_below_a_picture(last):
    axis = Figure().subplots()
    axis.plot([0, last], [0.0, 1.0])
    over(axis, "epoch")
    ticks = axis.get_xticks()
    assert axis.get_xlabel() == "epoch" and len(ticks) > 1
    assert all(tick == round(tick) for tick in ticks)


def test_every_colour_and_style_is_another_one_that_matplotlib_draws():
    axis = Figure().subplots()
    lines = [axis.plot([0, 1], color=c, linestyle=s)[0] for s in STYLES for c in COLOURS]
    looks = {(line.get_color(), str(line._dash_pattern)) for line in lines}
    assert len(looks) == len(COLOURS) * len(STYLES)
