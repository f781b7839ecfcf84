"""Pictures of results: every text is there, apart from the others and inside."""

import io
import math

import matplotlib.image
import numpy as np
import pytest

from tf_bdecay.sharpness.curvature.spectrum import SpectrumResult
from tf_bdecay.sharpness.curvature.trace import TraceResult
from tf_bdecay.sharpness.partition import Partition
from tf_bdecay.sharpness.results import pictures
from tf_bdecay.sharpness.results.plain_result import plain_result
from tf_bdecay.sharpness.results.result import ConnectivityResult

CAPTION = "net (net.keras, 1,234 trainable parameters); digits, train split, 20 of 1,438 examples"


def partition(blocks):
    """Blocks of a convolution and a normalization, then a dense layer."""
    variables, of, kinds = [], [], []
    for i in range(blocks):
        stem = f"stage{i // 8 + 1}_block{i % 8 + 1}"
        variables += [f"{stem}_conv/kernel", f"{stem}_bn/gamma", f"{stem}_bn/beta"]
        of += [f"{stem}_conv", f"{stem}_bn", f"{stem}_bn"]
        kinds += ["Conv", "gamma", "beta"]
    return Partition(
        (*variables, "fc/kernel", "fc/bias"), (*of, "fc", "fc"), (*kinds, "FC(w)", "FC(b)")
    )


@pytest.fixture(scope="module", params=[1, 30])
def results(request):
    """Records of several measures of a network of 3 or 61 layers."""
    whole, rng = partition(request.param), np.random.default_rng(0)
    shares = rng.gamma(1.0, size=len(whole.variables))
    samples = shares * rng.normal(1, 0.5, (3, len(shares)))
    common = dict(
        partition=whole,
        errors=0.1 * shares @ whole.matrix,
        loss=0.5,
        examples=20,
        training=False,
    )
    ratios = {layer: 0.1 * rng.gamma(1.0) for layer in whole.layers if layer.endswith("_bn")}
    spectrum = dict(nodes=[np.array([-1.0, 0.1, 3.0])], weights=[np.array([0.1, 0.8, 0.1])])
    results = {
        "C": ConnectivityResult(
            **common,
            shares=shares,
            gradients=[],
            bias_ratio=ratios,
            bias_ratio_errors={layer: 0.1 * r for layer, r in ratios.items()},
            per_example=True,
            batch_size=1,
        ),
        "trace": TraceResult(
            **common, shares=samples.mean(0) - 0.5, probes=3, tolerance=None, samples=samples
        ),
        "spectrum": SpectrumResult(**common, shares=samples[0], parameters=1234, **spectrum),
    }
    return {name: plain_result(result, 1.0) for name, result in results.items()}


def boxes(figure):
    """Every text of a drawn figure and where it is."""
    figure.draw_without_rendering()
    for axis in figure.axes:
        texts = [*axis.texts, axis.title, axis.xaxis.label, axis.yaxis.label]
        ticks = [t.label1 for t in (*axis.xaxis._update_ticks(), *axis.yaxis._update_ticks())]
        legend = axis.get_legend()
        texts += [*ticks, *(legend.get_texts() if legend else [])]
        yield from (
            (t.get_text(), t.get_window_extent()) for t in texts if t.get_visible() and t.get_text()
        )
    for text in (figure._suptitle, figure._supxlabel):
        yield text.get_text(), text.get_window_extent()


def test_texts_neither_overlap_nor_leave_the_picture(results):
    drawn = pictures.all_of(results, CAPTION)
    assert set(drawn) == {"layers.png", "connectivity.png", "ratio.png", "spectrum.png"}
    for name, figure in drawn.items():
        found, whole = list(boxes(figure)), figure.bbox
        for i, (text, box) in enumerate(found):
            assert whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1, (name, text)
            assert whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1 + 1, (name, text)
            for other, place in found[:i]:
                apart = min(box.x1, place.x1) - max(box.x0, place.x0)
                above = min(box.y1, place.y1) - max(box.y0, place.y0)
                assert apart < 2 or above < 2, (name, text, other)
        image = matplotlib.image.imread(io.BytesIO(pictures.png(figure)))
        assert image.shape[1] == pytest.approx(figure.get_figwidth() * 120, abs=2)
        assert CAPTION in figure._supxlabel.get_text().replace("\n", " ")


def test_the_bars_of_a_layer_are_its_kinds(results):
    figure = pictures.connectivity(results["C"], CAPTION)
    (axis,) = figure.axes
    ends = {}
    for container in axis.containers:
        for row, bar in enumerate(getattr(container, "patches", [])):
            ends[row] = max(ends.get(row, 0.0), bar.get_x() + bar.get_width())
    values = [cell["value"] for cell in results["C"]["by_layer"].values()]
    np.testing.assert_allclose(list(ends.values()), values, rtol=1e-6)
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["Conv", "gamma", "beta", "FC(w)", "FC(b)"]


def test_r_of_0_and_infinity_are_shown_at_the_ends():
    r = {"none": 0.0, "small": 1e-4, "at R": 0.1, "large": 3.0, "endless": math.inf}
    figure = pictures.ratio(r, "r", dict.fromkeys(r), CAPTION)
    (axis,) = figure.axes
    points = [line for line in axis.lines if line.get_marker() == "o"]
    x = [float(np.ravel(p.get_xdata())[0]) for p in points]
    assert x == sorted(x) and 0 < x[0] < 1e-4 and 3 < x[-1] < math.inf
    hollow = [p.get_markerfacecolor() == "white" for p in points]
    assert hollow == [True, False, False, False, True]
    assert "3 of 5 at or above R" in figure._suptitle.get_text()
    assert {"0", "inf", "R = 0.1"} <= {t.get_text() for t in axis.texts}


def test_errors_of_r_are_drawn_and_written():
    r = {"sure": 0.0951, "vague": 0.3, "unknown": 0.7, "endless": math.inf}
    errors = {"sure": 0.0012, "vague": 0.11, "unknown": None, "endless": None}
    figure = pictures.ratio(r, "r", errors, CAPTION)
    (axis,) = figure.axes
    bars = {line.get_ydata()[0]: line.get_xdata() for line in axis.lines if line.get_zorder() == 3}
    assert list(bars) == [0, 1]
    np.testing.assert_allclose(bars[1], [0.19, 0.41])
    texts = {t.get_text() for t in axis.texts}
    assert {"0.0951 ±0.0012", "0.30 ±0.11", "0.7", "inf"} <= texts
    assert "bars: standard error" in figure._suptitle.get_text().replace("\n", " ")


def test_the_largest_layers_are_marked(results):
    figure = pictures.layers(results, CAPTION)
    for axis, each in zip(figure.axes, results.values(), strict=True):
        values = [cell["value"] for cell in each["by_layer"].values()]
        largest = sorted(np.argsort(values)[::-1][:3])
        bars = axis.containers[0].patches
        widths = [b.get_width() for b in bars]
        np.testing.assert_allclose(widths, np.array(values) / each["total"], rtol=1e-6)
        red = [i for i, bar in enumerate(bars) if bar.get_facecolor()[0] > 0.8]
        assert red == largest


def test_the_spectrum_marks_the_largest_eigenvalue(results):
    for top, text in ((None, "largest node: "), (2.5, "largest: 2.5")):
        (axis,) = pictures.spectrum(results["spectrum"], top, CAPTION).axes
        assert axis.get_yscale() == "log"
        assert any(t.get_text().startswith(text) for t in axis.texts)


def test_the_height_of_an_eigenvalue_is_that_of_before_its_width_was_kept(results):
    kept = results["spectrum"]
    before = {name: value for name, value in kept.items() if name != "width"}
    now, then = (
        [line.get_ydata()[0] for line in pictures.spectrum(each, None, "").axes[0].lines][1]
        for each in (kept, before)
    )
    assert kept["width"] == pytest.approx(0.04) and now == pytest.approx(then, rel=1e-9)
