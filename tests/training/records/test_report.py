"""The report at a run's end: numbers from the optimizer's state, and warnings about them."""

import functools
import io
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

import tf_bdecay
from tests.training.small import digits, trainer
from tf_bdecay.training.records import report


@functools.cache
def mechanism_of(policy, beta=None, rate=0.02, epochs=2):
    made = trainer(tf_bdecay.Lamb(rate, weight_decay=policy, compile_update=False))
    if beta is not None:
        for variable in made.trainable_variables:
            if variable.path.endswith("beta"):
                variable.assign(np.full(8, beta))
    x, y = digits()
    made.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return made, report.mechanism(made.optimizer)


def test_root_mean_square_is_over_elements():
    arrays = [np.array([3.0]), np.array([[4.0, 0.0]]), np.zeros(0)]
    assert report.root_mean_square(arrays) == pytest.approx(math.sqrt(25 / 3))
    assert math.isnan(report.root_mean_square([]))


FIXED = tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.0)


def test_the_mechanism_of_fixed_decay():
    made, found = mechanism_of(FIXED)
    assert found["updates"] == 8
    assert found["learning_rate_sum"] == pytest.approx(8 * 0.02, rel=1e-5)
    assert found["decay_on_fraction"] == 1.0
    assert set(found["layers"]) == {"norm_1", "norm_2"}
    betas = np.concatenate([v.numpy() for v in made.trainable_variables if v.path.endswith("beta")])
    assert found["beta_rms"] == pytest.approx(math.sqrt(np.mean(betas**2)), rel=1e-5)
    assert found["gamma_rms"] == pytest.approx(1.0, abs=0.2)


def test_nothing_is_said_where_all_is_well():
    layers = {"a": {"beta_rms": 0.1}, "b": {"beta_rms": 0.1}}
    result = dict(layers=layers, switches=3, decay_on_fraction=0.4, skipped_updates=0)
    assert report.warnings_of(result, adaptive=True) == []


def test_a_beta_that_never_moved_is_said():
    _, found = mechanism_of(tf_bdecay.decay.NoBiasDecay(0.01), rate=1e-7)
    (sentence,) = report.warnings_of(found, adaptive=False)
    assert sentence.startswith("beta never moved")


def test_one_still_layer_is_named():
    layers = {"a": {"beta_rms": 0.0}, "b": {"beta_rms": 0.1}}
    result = dict(layers=layers, switches=3, decay_on_fraction=0.4, skipped_updates=0)
    (sentence,) = report.warnings_of(result, adaptive=True)
    assert sentence.startswith("beta of a never moved")


@pytest.mark.parametrize("threshold, state", [(0.0, "on"), (math.inf, "off")])
def test_decay_that_never_switched_is_said(threshold, state):
    _, found = mechanism_of(tf_bdecay.decay.AdaptiveBetaDecay(threshold=threshold), beta=0.1)
    assert found["switches"] == 0
    sentences = report.warnings_of(found, adaptive=True)
    assert any(f"was {state} in every layer at every update" in s for s in sentences)
    assert not any("switched" in s for s in report.warnings_of(found, adaptive=False))


def test_skipped_updates_are_said():
    result = dict(layers={}, switches=0, decay_on_fraction=math.nan, skipped_updates=4)
    assert report.warnings_of(result, adaptive=False) == [
        "4 updates were skipped: gradients not finite."
    ]


def printed(result):
    page = io.StringIO()
    Console(file=page, width=120).print(report.render(result))
    return page.getvalue()


def test_the_table_has_every_figure():
    _, found = mechanism_of(FIXED)
    page = printed({**found, "test_accuracy": 0.9812, "test_loss": 0.1, "warnings": ["Look out."]})
    for part in ("98.12%", "sum of eta", "RMS of beta", "layer-updates", "norm_2", "Look out."):
        assert part in page


def test_a_network_without_normalization_has_a_shorter_table():
    result = dict(
        test_accuracy=0.5, test_loss=1.0, updates=3, learning_rate_sum=0.1, layers={}, warnings=[]
    )
    assert "beta" not in printed(result)


def test_the_table_has_both_statistics_by_name():
    result = dict(
        test_accuracy=0.5, test_loss=1.0, test_accuracy_precise=0.75, test_loss_precise=0.25,
        updates=3, learning_rate_sum=0.1, layers={}, warnings=[],
    )  # fmt: skip
    lines = [line.split() for line in printed(result).splitlines()]
    for end in ("epoch) 50.00%", "loss 1.0000", "accuracy, precise statistics 75.00%",
                "loss, precise statistics 0.2500"):  # fmt: skip
        assert any(" ".join(line).endswith(end) for line in lines), end


def test_the_table_has_the_averaged_weights_by_name():
    result = dict(
        test_accuracy=0.5, test_loss=1.0, test_accuracy_average=0.75, test_loss_average=0.25,
        updates=3, learning_rate_sum=0.1, layers={}, warnings=[],
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in printed(result).splitlines()]
    assert "test accuracy, averaged weights 75.00%" in lines
    assert "test loss, averaged weights 0.2500" in lines


RESULT = dict(
    experiment="digits", variant="none", seed=7, test_accuracy=0.61, test_loss=0.9, epochs=2
)
PRECISE = dict(test_accuracy_precise=0.6, test_loss_precise=1.0)


def curves(path, column="test_{}", result=RESULT, layers=2, threshold=0.1):
    """Draws; returns the figure, found by what it was saved as, and the picture's size."""
    epochs = pd.DataFrame(
        {"epoch": [1, 2], "loss": [2, 1], "accuracy": [0.1, 0.5],
         column.format("loss"): [math.nan, 1], column.format("accuracy"): [math.nan, 0.6]}
    )  # fmt: skip
    rows = [
        (update, f"stage{1 + i // 5}_bn{i % 5}", 0.1 * i * update, i % 2)
        for update in (10, 20) for i in range(layers)
    ]  # fmt: skip
    rows += [(30, "stage1_bn0", math.inf, 1)] * bool(layers)
    layers = pd.DataFrame(rows, columns=["update", "layer", "r", "decay_on"])
    figures = []

    class Kept(report.Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            figures.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "Figure", Kept)
        report.draw(path / "curves.png", epochs, layers, result, threshold)
    with Image.open(path / "curves.png") as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 10
        return figures[0], image.size


def axes_of(figure):
    return [a for part in figure.subfigs or [figure] for a in part.axes]


def labels_of(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


@pytest.mark.parametrize("threshold", [0.1, 0.0, math.inf, None])
def test_r_of_every_layer_is_drawn_against_the_threshold(tmp_path, threshold):
    figure, size = curves(tmp_path, threshold=threshold)
    assert size == (1540, 990)
    ratio = axes_of(figure)[-1]
    drawn = ["R = 0.1: decay at and above"] if threshold == 0.1 else []
    assert labels_of(ratio) == ["stage1_bn0", "stage1_bn1", *drawn]
    assert ratio.get_yscale() == "log"


def test_the_few_points_of_a_short_run_are_seen(tmp_path):
    figure, _ = curves(tmp_path)
    axes = axes_of(figure)
    lines = [line for axis in axes for line in axis.get_lines()]
    assert {line.get_marker() for line in lines if len(line.get_xdata()) > 1} == {".", "None"}
    assert len([line for line in lines if line.get_marker() == "."]) == 7  # all but R and stars
    for axis in axes:
        assert all(tick == round(tick) for tick in axis.get_xticks())
    stars = [line for line in lines if line.get_marker() == "*"]
    assert [star.get_markerfacecolor() for star in stars] == ["none"] * 2  # a point shows through


def test_the_loss_of_smoothed_labels_is_called_that(tmp_path):
    figure, _ = curves(tmp_path, result={**RESULT, "test_crossentropy": 0.8})
    assert axes_of(figure)[0].get_ylabel() == "loss of smoothed labels (nats)"


def test_layers_differ_in_colour_or_style(tmp_path):
    figure, _ = curves(tmp_path, layers=20, threshold=None)
    lines = axes_of(figure)[-1].get_lines()
    assert len({(line.get_color(), line.get_linestyle(), line._dash_pattern[1] and
                 tuple(line._dash_pattern[1])) for line in lines}) == 20  # fmt: skip
    assert len({line.get_color() for line in lines}) == 4


def test_a_name_with_dollars_is_no_formula(tmp_path):
    figure, _ = curves(tmp_path, result={**RESULT, "experiment": "a$x^$"})
    assert figure.get_suptitle().startswith(r"a\$x^\$, variant none")


def test_the_title_is_the_runs_name_and_its_two_results(tmp_path):
    figure, _ = curves(tmp_path, "test_{}_precise", {**RESULT, **PRECISE})
    run, found = figure.get_suptitle().splitlines()
    assert run == "digits, variant none, seed 7"
    assert found == "test accuracy 61.00% (moving statistics), 60.00% (precise)"


@pytest.mark.parametrize(
    "column, result, name, end",
    [
        ("test_{}", RESULT, "test", "test at the end"),
        ("validation_{}", {**RESULT, **PRECISE}, "validation, moving statistics",
         "test at the end, moving statistics"),
        ("test_{}_precise", {**RESULT, **PRECISE}, "test, precise statistics",
         "test at the end, moving statistics"),
        ("test_{}_average", {**RESULT, **PRECISE}, "test, averaged weights",
         "test at the end, moving statistics"),
    ],
)  # fmt: skip
def test_statistics_are_named_where_there_are_two(tmp_path, column, result, name, end):
    figure, _ = curves(tmp_path, column, result)
    for axis, at_the_end in zip(axes_of(figure)[:2], (0.9, 61.0), strict=True):
        assert labels_of(axis) == ["training", name, end]
        assert axis.get_lines()[-1].get_ydata()[0] == pytest.approx(at_the_end)


def test_a_network_without_normalization_has_two_curves_alone(tmp_path):
    figure, size = curves(tmp_path, layers=0)
    assert size == (1540, 550)
    assert [axis.get_ylabel() for axis in axes_of(figure)] == [
        "loss (cross-entropy, nats)", "accuracy (%)"
    ]  # fmt: skip


@pytest.mark.parametrize("layers", [0, 20])
def test_no_legend_covers_a_curve_or_another_legend(tmp_path, layers):
    figure, _ = curves(tmp_path, "validation_{}", {**RESULT, **PRECISE}, layers=layers)
    axes = axes_of(figure)
    frames = [axis.get_window_extent() for axis in axes]
    legends = [a.get_legend().get_window_extent() for a in axes if a.get_legend() is not None]
    assert len(legends) == (3 if layers else 2)
    for i, legend in enumerate(legends):
        assert not any(legend.overlaps(frame) for frame in frames)
        assert not any(legend.overlaps(other) for other in legends[:i])


@pytest.mark.parametrize(
    "scale, says",
    [
        (9728.0, "over the run an update at 8,192 is worth 0.60 of eight at 1,024."),
        (math.inf, "over the run an update at 8,192 is worth 1.00 of eight at 1,024."),
        (math.nan, "No gradient noise scale was measured"),
    ],
)
def test_the_noise_scale_is_said_of_the_batch(scale, says):
    result = dict(
        test_accuracy=0.5, test_loss=1.0, updates=2, learning_rate_sum=0.1, layers={}, warnings=[],
        gradient_noise_scale=20_000.0, gradient_noise_scale_of_run=scale,
        gradient_noise_batch=8192,
    )  # fmt: skip
    page = io.StringIO()
    Console(file=page, width=500).print(report.render(result))
    assert says in page.getvalue()
    assert "gradient noise scale at the end" in page.getvalue() and "20,000" in page.getvalue()
