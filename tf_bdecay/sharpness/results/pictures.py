"""Pictures of plain results: C by layer and kind, r by layer, the spectrum, shares by layer."""

import io
import math

import numpy as np
from matplotlib.figure import Figure

from tf_bdecay.sharpness.results import drawing
from tf_bdecay.sharpness.results.plain_result import THRESHOLD, by_kind_and_layer, heading, ratios
from tf_bdecay.terminal.figures import save_picture
from tf_bdecay.terminal.plain_text import with_error

_COLORS = {
    "Conv": "#4c78a8",
    "Conv(b)": "#9ecae9",
    "gamma": "#54a24b",
    "beta": "#e45756",
    "FC(w)": "#b279a2",
    "FC(b)": "#ff9da6",
    "other": "#9d9d9d",
}
_PLAIN, _ACCENT = "#a9bcd3", "#d1495b"
_MARKED = 3  # layers with the largest shares, which a panel highlights


def all_of(results, caption):
    """Every picture that the results allow.

    Args:
        results: dict of measure to plain result, of one network.
        caption: text below each picture: model, data, examples.

    Returns:
        Dict of file name to `matplotlib.figure.Figure`.
    """
    found = {"layers.png": layers(results, caption)}
    connections = results.get("C") or results.get("C_m")
    if connections:
        found["connectivity.png"] = connectivity(connections, caption)
    if ratios(results):
        found["ratio.png"] = ratio(*ratios(results), caption)
    if "spectrum" in results:
        top = results["eigenvalue"]["total"] if "eigenvalue" in results else None
        found["spectrum.png"] = spectrum(results["spectrum"], top, caption)
    return found


def png(figure):
    """The bytes of a picture."""
    content = io.BytesIO()
    save_picture(figure, content, dpi=120)
    return content.getvalue()


def connectivity(result, caption):
    """C by layer: a bar per layer, stacked by kind, with the layer's standard error at its end."""
    kinds, names = by_kind_and_layer(result)
    figure, axis = drawing.by_layer(names, 10, caption)
    ends, rows = np.zeros(len(names)), np.arange(len(names))
    for kind, values in kinds.items():
        axis.barh(rows, values, left=ends, color=_COLORS[kind], label=kind, height=0.75)
        ends += values
    errors = drawing.errors(result, "layer")
    total, reach = result["total"], drawing.error_bars(axis, ends, errors)
    for row, end in enumerate(reach):
        if total:
            drawing.beside(axis, f"{ends[row] / total:.1%}", end, row, color="#555555")
    axis.set_xlim(0, max(reach.max() * 1.1, 1e-300))
    symbol = drawing.symbol(result["measure"])
    axis.set_xlabel(f"{symbol} of the layer: E Σ |gradient × parameter|, in units of the loss")
    axis.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(kinds), frameon=False, fontsize=9
    )
    m = "" if result["measure"] == "C" else f", m = {result['batch_size']}"
    drawing.head(
        figure,
        f"Connectivity sharpness {symbol}{m}: {drawing.value(result)}, by layer "
        f"{'(bars: standard error)' if np.isfinite(errors).any() else ''}",
    )
    return figure


def ratio(r, name, errors, caption, threshold=THRESHOLD):
    """r of every normalization layer beside the line R, on a logarithmic axis.

    Args:
        r: dict of layer to r; 0 and infinity are shown at the ends.
        name: the name of r in the headings.
        errors: dict of layer to the standard error of r, or None.
        caption: text below.
        threshold: R.
    """
    names, values = list(r), np.array(list(r.values()))
    spread = np.array([errors[k] or 0.0 for k in names])
    figure, axis = drawing.by_layer(names, 9, caption)
    usual = (values > 0) & np.isfinite(values)
    low = min([*values[usual], threshold]) / 3
    high = max([*(values + spread)[usual], threshold]) * 2
    shown = np.clip(values, low, high)
    above = values >= threshold
    axis.set_xscale("log")
    for row, value in enumerate(shown):
        color = _ACCENT if above[row] else "#4c78a8"
        reach = value
        axis.plot([low, value], [row, row], color=color, linewidth=1.2, alpha=0.3)
        if usual[row] and spread[row]:
            ends = np.clip([value - spread[row], value + spread[row]], low, high)
            axis.plot(ends, [row, row], color="#333333", linewidth=1.4, zorder=3)
            reach = ends[1]
        axis.plot(value, row, "o", color=color, markersize=6, mfc=color if usual[row] else "white")
        box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
        text = with_error(values[row], errors[names[row]])
        drawing.beside(axis, text, reach, row, points=7, bbox=box)
    axis.axvline(threshold, color="black", linestyle="--", linewidth=1, zorder=1)
    axis.annotate(
        f"R = {threshold:g}",
        (threshold, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        fontsize=9,
    )
    axis.set_xlim(low / 1.15, high * 2)
    drawing.plain_ticks(axis, low, high)
    axis.set_xlabel(f"{name} = C(beta) / C(gamma); hollow: 0 or infinite, which no logarithm has")
    drawing.head(
        figure,
        f"{name} by normalization layer: {above.sum()} of {len(names)} at or above R (red), "
        f"where beta would decay{'; bars: standard error' if spread.any() else ''}",
    )
    return figure


def spectrum(result, top, caption):
    """Density of the eigenvalues on a logarithmic scale.

    Args:
        result: the plain result of the spectrum.
        top: the largest eigenvalue as measured, or None to mark the largest node.
        caption: text below.
    """
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    axis = figure.subplots()
    grid, density = np.array(result["grid"]), np.array(result["density"])
    # A single eigenvalue makes a bell of height `one`, so the axis ends at a tenth of it. Results
    # from before the width was kept have a grid of 110 widths.
    width = result.get("width", (grid[-1] - grid[0]) / 110)
    one = 1 / (result["parameters"] * width * math.sqrt(2 * math.pi))
    floor = one / 10
    axis.fill_between(grid, np.maximum(density, floor), floor, color=_PLAIN, alpha=0.6)
    axis.plot(grid, np.maximum(density, floor), color="#4c78a8", linewidth=1.4)
    axis.axhline(one, color="#777777", linestyle=":", linewidth=1)
    axis.annotate(
        "height of a single eigenvalue",
        (0, one),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        fontsize=8,
        color="#555555",
    )
    low, high = result["extremes"]
    mark = high if top is None else top
    axis.axvline(mark, color=_ACCENT, linestyle="--", linewidth=1.2)
    axis.annotate(
        f"largest{' node' if top is None else ''}: {mark:.4g}",
        (mark, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(-5, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        color=_ACCENT,
    )
    axis.set(
        yscale="log",
        ylim=(floor, max(density.max() * 3, one * 10)),
        xlabel="eigenvalue of the Hessian of the mean loss",
        ylabel="density (its integral is 1), logarithmic",
    )
    axis.grid(axis="y", color="#eeeeee")
    axis.set_axisbelow(True)
    probes = result["probes"]
    drawing.head(
        figure,
        f"Spectrum of the Hessian: from {low:.4g} to {high:.4g}, {result['parameters']:,} "
        f"eigenvalues ({probes} probe{'s' * (probes > 1)} of {len(result['nodes'][0])} "
        "Lanczos steps)",
    )
    drawing.foot(figure, caption)
    return figure


def layers(results, caption):
    """The share of each layer in each measure: one panel per measure, the largest three marked."""
    names = list(next(iter(results.values()))["by_layer"])
    count = len(results)
    figure, axes = drawing.by_layer(names, 3.4 + 2.1 * count, caption, count)
    for axis, (name, result) in zip(np.atleast_1d(axes), results.items(), strict=True):
        total = result["total"]
        values = np.array([cell["value"] or 0.0 for cell in result["by_layer"].values()])
        shares = values / total if total else np.zeros(len(names))
        errors = (
            drawing.errors(result, "layer") / abs(total) if total else np.full(len(names), np.nan)
        )
        largest = np.argsort(shares)[::-1][:_MARKED]
        colors = [_ACCENT if row in largest else _PLAIN for row in range(len(names))]
        axis.barh(np.arange(len(names)), shares, color=colors, height=0.75)
        reach = np.maximum(drawing.error_bars(axis, shares, errors), 0)
        for row in largest:
            drawing.beside(axis, f"{shares[row]:.0%}", reach[row], row, color=_ACCENT, fontsize=8)
        lowest = min((shares - np.nan_to_num(errors)).min(), 0.0)
        axis.set_xlim(lowest * 1.05, max(reach.max() * 1.3, 1e-12))
        axis.axvline(0, color="#333333", linewidth=0.6)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.xaxis.set_major_locator(drawing.few_ticks())
        axis.set_title(
            f"{drawing.symbol(heading(name, result))}\n{drawing.value(result)}", fontsize=9
        )
        axis.tick_params(axis="x", labelsize=8)
    drawing.head(
        figure, f"Share of each layer; red: the {min(_MARKED, len(names))} largest of a measure"
    )
    return figure
