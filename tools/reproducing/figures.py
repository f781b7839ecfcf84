"""The paper's figures from results alone, as PNG and SVG."""

import math

import matplotlib
from matplotlib import ticker
from matplotlib.figure import Figure

from tools.reproducing import statistics, store, tables

# Okabe and Ito's palette: told apart by every kind of colour vision, with a shape each besides.
_COLOURS = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442"),
    *("#0072B2", "#D55E00", "#CC79A7", "#BBBBBB"),
)
_SHAPES = "osD^vP*Xh"
_PANELS = (("trace", "Tr(H)"), ("FR", "Fisher-Rao norm"), ("C_m", "C_m"))


def scatter(table, scale, results):
    """Figures 1, 5, 6, 7: sharpness on a log axis against test accuracy, with R^2.

    Returns:
        (a `Figure`, list of sentences on what it lacks), or None where nothing was run.
    """
    (lines,) = table.rows.values()
    points, lacks = [], []
    for index, line in enumerate(lines):
        by_seed = tables.results_of(line.arm, scale, results)
        done = [r for r in by_seed.values() if r["status"] == store.DONE and r.get("measures")]
        points += [(index, line.label, result) for result in done]
        if not done:
            lacks.append(f"{line.label}: not run.")
    if not points:
        return None
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    for axis, (name, title) in zip(figure.subplots(1, 3, sharey=True), _PANELS, strict=True):
        shown = [p for p in points if _positive(p[2]["measures"].get(name, {}).get("total"))]
        for index, label in dict.fromkeys((i, label) for i, label, _ in shown):
            own = [r for i, _, r in shown if i == index]
            axis.scatter(
                [r["measures"][name]["total"] for r in own],
                [100 * r["test_accuracy"] for r in own],
                color=_COLOURS[index % len(_COLOURS)],
                marker=_SHAPES[index % len(_SHAPES)],
                edgecolors="black",
                label=label,
                s=55,
            )
        axis.set(xscale="log", xlabel=f"{title} (log scale)", title=_fit(shown, name))
        _few_labels(axis.xaxis)
        axis.grid(alpha=0.3)
        if len(shown) < len(points):
            lacks.append(
                f"{title}: {len(points) - len(shown)} runs not measured or not above 0, left out."
            )
    figure.axes[0].set_ylabel("test accuracy (%)")
    handles, labels = figure.axes[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.suptitle(f"{table.title}, scale {scale.name}")
    return figure, lacks


def _few_labels(axis):
    """Labels of a log axis that do not overlap: three a decade where there are few, else one."""
    low, high = axis.get_view_interval()
    steps = (1, 2, 5) if high < 100 * low else (1,)
    axis.set_major_locator(ticker.LogLocator(subs=steps))
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(ticker.NullFormatter())


def _positive(value):
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _fit(shown, name):
    if len(shown) < 3:
        return f"{len(shown)} runs: no R²"
    x = [math.log(r["measures"][name]["total"]) for _, _, r in shown]
    square, low, high = statistics.r_squared(x, [r["test_accuracy"] for _, _, r in shown])
    return f"R² = {square:.2f} [{low:.2f}, {high:.2f}], {len(shown)} runs"


FIGURE2 = ("no bias decay", "beta decay 1.0")
FIGURE3 = (
    *("no bias decay", "gamma decay 0.01", "gamma decay 1.0"),
    *("all parameters 1.0", "convolutions 1.0"),
)
_ROWS = [(kind, column) for kind in ("beta", "gamma", "Conv") for column in ("norm", "C_m")]
_WORDS = {"norm": "norm of {}", "C_m": "C_m of {}"}


def evolution(arms, table, scale, results):
    """Figures 2 and 3: norm and C_m of training by layer over epochs, a column an arm.

    Args:
        arms: labels of the rows of the table that are columns here.
        table, scale, results: as everywhere.
    """
    (lines,) = table.rows.values()
    made, lacks = [], []
    for line in (line for line in lines if line.label in arms):
        found = tables.results_of(line.arm, scale, results)
        done = {s: r for s, r in found.items() if r["status"] == store.DONE}
        seed = next((s for s, r in done.items() if r["curves"].get("variables")), None)
        if seed is None:
            lacks.append(f"{line.label}: not run.")
        else:
            made.append((f"{line.label}, seed {seed}", found[seed]["curves"]["variables"]))
    if len(made) < 2:  # nothing to compare
        return None
    size = (2.6 * len(made) + 1.2, 1.7 * len(_ROWS))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(_ROWS), len(made), sharex=True, sharey="row", squeeze=False)
    for column, (label, variables) in enumerate(made):
        for row, (kind, name) in enumerate(_ROWS):
            axis = axes[row][column]
            own = [v for v in variables.values() if v["kind"] == kind]
            for i, values in enumerate(own):
                shade = matplotlib.colormaps["viridis"](0.9 * i / max(len(own) - 1, 1))
                shown = [v if _positive(v) else math.nan for v in values[name]]
                axis.plot(values["epoch"], shown, color=shade, linewidth=0.9)
            axis.set(yscale="log")
            axis.grid(alpha=0.3)
        axes[0][column].set_title(label, fontsize=10)
        axes[-1][column].set_xlabel("epoch")
        axes[-1][column].xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    for row, (kind, name) in enumerate(_ROWS):
        axes[row][0].set_ylabel(_WORDS[name].format(kind))
        _few_labels(axes[row][0].yaxis)
    figure.suptitle(f"{table.title}, scale {scale.name}:\nfirst layer dark, last layer light")
    return figure, lacks


def gammas(table, scale, results):
    """Figure 4: sum of gamma against C(gamma) by layer, without and with decay of beta."""
    (lines,) = table.rows.values()
    figure = Figure(figsize=(6, 5), layout="constrained")
    axis, any_run = figure.subplots(), False
    for index, line in enumerate(lines):
        found = tables.results_of(line.arm, scale, results).values()
        for result in [r for r in found if "C" in (r.get("measures") or {})][:1]:
            sums, c = result["measures"]["gamma_sums"], result["measures"]["C"]["by_variable"]
            names, any_run = [name for name in sums if name in c], True
            total = sum(sums.values())
            axis.scatter(
                [sums[n] for n in names],
                [c[n] for n in names],
                color=_COLOURS[(5, 6, 3)[index % 3]],
                marker=_SHAPES[index],
                alpha=0.7,
                label=f"{line.label}: sum of gamma {total:.4g}",
            )
    axis.set(xlabel="sum of gamma, by layer", ylabel="C(gamma), by layer", yscale="log")
    if not any_run:
        return None
    _few_labels(axis.yaxis)
    axis.grid(alpha=0.3)
    axis.legend()
    figure.suptitle(f"gamma and its C by layer, scale {scale.name}")
    return figure, []
