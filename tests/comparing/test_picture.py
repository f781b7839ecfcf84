"""The picture that compares runs: curves of their numbers over epochs."""

import io

import numpy as np

from tests.comparing import made
from tf_bdecay.comparing import picture, runs


def drawn(figure, label):
    """The lines of the panel with a label on its vertical axis."""
    (axis,) = [a for a in figure.axes if label in a.get_ylabel()]
    return axis.lines


def test_curves_are_the_tables_numbers(tmp_path):
    metrics, layers = made.run(tmp_path / "one", per_epoch=4)
    made.run(tmp_path / "two", seed=1, per_epoch=8)
    figure = picture.draw(runs.read([tmp_path / "one", tmp_path / "two"]))
    loss, other = drawn(figure, "training loss")
    np.testing.assert_allclose(loss.get_ydata(), metrics["loss"])
    assert (loss.get_label(), other.get_label()) == ("one", "two")
    assert loss.get_color() != other.get_color()
    accuracy, _ = drawn(figure, "accuracy")
    np.testing.assert_allclose(accuracy.get_ydata(), 100 * metrics["test_accuracy_precise"])
    ratio, longer = drawn(figure, "C(beta) / C(gamma)")
    np.testing.assert_allclose(ratio.get_ydata(), layers.groupby("update")["r"].median())
    assert ratio.get_xdata()[-1] == longer.get_xdata()[-1] == 3  # epochs, whatever the batch
    *panels, _ = figure.axes
    assert len({panel.get_xlim() for panel in panels}) == 1  # the same epochs, one above another
    share, _ = drawn(figure, "decay on")
    np.testing.assert_allclose(share.get_ydata(), 100 * layers.groupby("update")["decay_on"].mean())


def test_a_smoothed_run_beside_one_that_is_not_is_drawn_by_its_crossentropy(tmp_path):
    plain, _ = made.run(tmp_path / "one")
    smoothed, _ = made.run(tmp_path / "two", smoothing=0.1)
    figure = picture.draw(runs.read([tmp_path / "one", tmp_path / "two"]))
    one, two = drawn(figure, "training cross-entropy, labels not smoothed")
    np.testing.assert_allclose(one.get_ydata(), plain["loss"])
    np.testing.assert_allclose(two.get_ydata(), smoothed["crossentropy"])


def test_runs_without_normalization_have_two_panels_and_the_table(tmp_path):
    made.run(tmp_path / "one", layers=False)
    made.run(tmp_path / "two", layers=False)
    figure = picture.draw(runs.read([tmp_path / "one", tmp_path / "two"]))
    assert len(figure.axes) == 3
    (table,) = figure.axes[-1].tables
    assert table[1, 0].get_text().get_text() == "one"


def test_many_runs_are_told_apart(tmp_path):
    paths = [tmp_path / f"run{i}" for i in range(15)]
    for path in paths:
        made.run(path, layers=False)
    lines = drawn(picture.draw(runs.read(paths)), "training loss")
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 15


def test_any_folder_has_its_name_in_legend_and_table(tmp_path):
    paths = [tmp_path / name for name in ("_one", "two$x^$")]
    for path in paths:
        made.run(path, layers=False)
    figure = picture.draw(runs.read(paths))
    figure.savefig(io.BytesIO(), format="png", dpi=20)
    (legend,) = figure.subfigs[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["_one", r"two\$x^\$"]
    (table,) = figure.axes[-1].tables
    assert [table[i, 0].get_text().get_text() for i in (1, 2)] == ["_one", r"two\$x^\$"]
