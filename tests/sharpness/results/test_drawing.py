"""What the pictures share: rows, wrapped words, plain ticks and rounded numbers."""

import math

import numpy as np
import pytest

from tf_bdecay.sharpness.results import drawing


@pytest.mark.parametrize("count, panels", [(1, 1), (3, 2), (80, 3)])
def test_layers_are_rows_the_first_on_top(count, panels):
    names = [f"layer{i}" for i in range(count)]
    figure, axes = drawing.by_layer(names, 7, "Caption.", panels)
    axes = np.atleast_1d(axes)
    assert len(axes) == panels
    for axis in axes:
        low, high = axis.get_ylim()
        assert low > count - 1 and high < 0  # downwards, all of them inside
    assert [label.get_text() for label in axes[0].get_yticklabels()] == names
    assert figure.get_figwidth() == 7
    assert figure.get_figheight() / count > 0.15  # inches that a name needs


def test_long_names_keep_both_ends():
    name = "model/stage4_block2_a_very_long_middle_that_nobody_reads/bn2"
    _, axis = drawing.by_layer([name, "short"], 7, "")
    long, short = (label.get_text() for label in axis.get_yticklabels())
    assert short == "short"
    assert len(long) <= 34 and "…" in long
    assert name.startswith(long.split("…")[0]) and name.endswith(long.split("…")[1])


def test_names_and_captions_with_dollars_are_no_formulas():
    figure, _ = drawing.by_layer(["a$x^$"], 7, "model $_^$, digits")
    figure.draw_without_rendering()  # which would raise


def test_error_bars_reach_from_the_ends_and_are_left_out_where_there_are_none():
    ends = np.array([1.0, 2.0])
    for errors, reach, drawn in ([0.5, math.nan], [1.5, 2.0], 1), ([math.nan] * 2, [1.0, 2.0], 0):
        _, axis = drawing.by_layer(["a", "b"], 7, "")
        assert drawing.error_bars(axis, ends, np.array(errors)).tolist() == reach
        assert len(axis.containers) == drawn


def test_a_number_stands_beside_the_end_of_its_row():
    _, axis = drawing.by_layer(["a", "b"], 7, "")
    drawing.beside(axis, "12%", 0.25, 1, points=5, color="red")
    (text,) = axis.texts
    assert text.get_text() == "12%" and text.xy == (0.25, 1) and text.get_position() == (5, 0)
    assert text.get_color() == "red" and text.get_va() == "center"


def test_headline_and_caption_are_wrapped_and_complete():
    words = " ".join(f"word{i}" for i in range(60))
    figure, _ = drawing.by_layer(["a"], 5, words)
    drawing.head(figure, f"  {words} ")
    for text in (figure.get_suptitle(), figure.get_supxlabel()):
        assert text.split() == words.split()
        assert len(text.splitlines()) > 1 and max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    "low, high, expected",
    [(0.1, 10, ["0.1", "0.2", "0.5", "1", "2", "5", "10"]), (1e-3, 1e4, ["0.001", "10000"])],
)
def test_ticks_are_plain_numbers(low, high, expected):
    figure, axis = drawing.by_layer(["a"], 7, "")
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    drawing.plain_ticks(axis, low, high)
    figure.canvas.draw()
    inside = [t for t in axis.get_xticks() if low * 0.999 <= t <= high * 1.001]
    texts = [axis.xaxis.get_major_formatter()(t) for t in inside]
    assert set(expected) <= set(texts)
    assert all("e" not in text and "^" not in text for text in texts)


def test_a_narrow_panel_has_few_ticks():
    assert len(drawing.few_ticks().tick_values(0, 123.4)) <= 4


@pytest.mark.parametrize(
    "total, error, text",
    [
        (123.456, None, "123"),
        (123.456, 61.7, "123 ± 60"),
        (0.0012345, 0.000061, "0.00123 ± 6e-05"),
        (2.0, 0.0, "2 ± 0"),
    ],
)
def test_a_value_with_its_error(total, error, text):
    assert drawing.value({"total": total, "standard_error": error}) == text


def test_errors_of_a_level():
    cells = {"a": {"standard_error": 0.5}, "b": {"standard_error": None}}
    first, second = drawing.errors({"by_layer": cells}, "layer")
    assert first == 0.5 and math.isnan(second)


def test_symbols():
    assert drawing.symbol("C_m") == "$C_m$"
    assert drawing.symbol("FR^2 and lambda(H)") == "FR² and λ(H)"
    assert drawing.symbol("Tr(H)") == "Tr(H)"
