"""The paper's figures from results alone, as PNG and SVG."""

import math

import matplotlib
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
        shown = [p for p in points if _positive(p[2]["measures"][name]["total"])]
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
        axis.grid(alpha=0.3)
        if len(shown) < len(points):
            lacks.append(f"{title}: {len(points) - len(shown)} runs not above 0, left out.")
    figure.axes[0].set_ylabel("test accuracy (%)")
    handles, labels = figure.axes[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.suptitle(f"{table.title}, scale {scale.name}")
    return figure, lacks


def _positive(value):
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _fit(shown, name):
    if len(shown) < 3:
        return f"{len(shown)} runs: no R²"
    x = [math.log(r["measures"][name]["total"]) for _, _, r in shown]
    square, low, high = statistics.r_squared(x, [r["test_accuracy"] for _, _, r in shown])
    return f"R² = {square:.2f} [{low:.2f}, {high:.2f}], {len(shown)} runs"


def evolution(table, scale, results):
    """Figures 2 and 3: C_m of beta and of gamma by layer over training, a column an arm."""
    (lines,) = table.rows.values()
    made = [(line.label, tables.results_of(line.arm, scale, results)) for line in lines]
    made = [(label, next(iter(r.values()))) for label, r in made if r]
    made = [(label, r) for label, r in made if r["curves"].get("layers")]
    if not made:
        return None
    figure = Figure(figsize=(3.4 * len(made), 6), layout="constrained")
    axes = figure.subplots(2, len(made), sharex=True, sharey="row", squeeze=False)
    for column, (label, result) in enumerate(made):
        layers = result["curves"]["layers"]
        for row, name in enumerate(("C_beta", "C_gamma")):
            axis = axes[row][column]
            for i, values in enumerate(layers.values()):
                shade = matplotlib.colormaps["viridis"](i / max(len(layers) - 1, 1))
                shown = [v if _positive(v) else math.nan for v in values[name]]
                axis.plot(values["update"], shown, color=shade, linewidth=0.9)
            axis.set(yscale="log", title=label if not row else "")
            axis.set_xlabel("update" if row else "")
    axes[0][0].set_ylabel("C_m(beta) of training")
    axes[1][0].set_ylabel("C_m(gamma) of training")
    figure.suptitle(f"{table.title}, scale {scale.name}: first layer dark, last light")
    return figure, ["Norms by layer over training are not recorded: at the end alone."]


def gammas(table, scale, results):
    """Figure 4: sum of gamma against C(gamma) by layer, without and with decay of beta."""
    (lines,) = table.rows.values()
    figure = Figure(figsize=(6, 5), layout="constrained")
    axis, any_run = figure.subplots(), False
    for index, line in enumerate(lines):
        found = tables.results_of(line.arm, scale, results).values()
        for result in [r for r in found if r.get("measures")][:1]:
            sums, c = result["measures"]["gamma_sums"], result["measures"]["C"]["by_variable"]
            names, any_run = [name for name in sums if name in c], True
            total = sum(sums.values())
            axis.scatter(
                [sums[n] for n in names],
                [c[n] for n in names],
                color=_COLOURS[(5, 6)[index % 2]],
                marker=_SHAPES[index],
                label=f"{line.label}: sum of gamma {total:.4g}",
            )
    axis.set(xlabel="sum of gamma, by layer", ylabel="C(gamma), by layer", yscale="log")
    if not any_run:
        return None
    axis.legend()
    return figure, []
