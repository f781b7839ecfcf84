"""Runs in one picture: loss, accuracy, r and decay over epochs, and the result table below."""

import math

from matplotlib.figure import Figure

from tf_bdecay.comparing.runs import common_loss, rows, width
from tf_bdecay.terminal.figures import COLOURS, STYLES, marker, over, verbatim

_ROW, _LETTER = 0.32, 0.08  # inches of the table


def draw(runs):
    """The figure, with a colour and line style for each run.

    Args:
        runs: list of `Run`.
    """
    columns, table = rows(runs)
    layered = [run for run in runs if len(run.layers)]
    below = _ROW * (len(runs) + 2)
    wide = max(14, _LETTER * width(columns, table, apart=2))
    figure = Figure(figsize=(wide, (9 if layered else 5) + below), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(9 if layered else 5, below))
    axes = upper.subplots(2 if layered else 1, 2, sharex=True)
    loss, accuracy, *more = axes.flat
    compared = common_loss(runs)
    for i, run in enumerate(runs):
        style = dict(
            color=COLOURS[i % len(COLOURS)],
            linestyle=STYLES[i // len(COLOURS) % len(STYLES)],
            marker=marker(run.metrics),
        )
        loss.plot(run.metrics["epoch"], compared.curve(run), label=verbatim(run.name), **style)
        if run.evaluation:
            seen = run.metrics.dropna(subset=[run.evaluation])
            accuracy.plot(seen["epoch"], 100 * seen[run.evaluation], **style)
        if len(run.layers):
            _layers(*more, run, style)
    loss.set(ylabel=f"training {compared.name}", yscale="log")
    accuracy.set(ylabel="accuracy, evaluated as the table says (%)")
    if layered:
        more[0].set(ylabel="r = C(beta) / C(gamma): median and quartiles of layers", yscale="log")
        more[1].set(ylabel="layers with beta decay on (%)", ylim=(-2, 102))
    for axis in axes.flat:
        over(axis, "epoch")
        axis.tick_params(labelbottom=True)  # a shared axis has them in its last row only
    lines = loss.get_lines()  # given here: Matplotlib drops names that begin with "_"
    upper.legend(handles=lines, loc="outside upper center", ncols=min(len(runs), 4), frameon=False)
    _table(lower.subplots(), columns, table)
    return figure


def _layers(ratio, share, run, style):
    """Plots the median and the quartiles of r over a run's layers, and the share that decays."""
    positive = run.layers["r"].replace([0.0, math.inf], math.nan)  # neither has a logarithm
    r = positive.groupby(run.layers["update"])
    middle = r.median()
    epochs = middle.index / run.updates_per_epoch
    style = style | {"marker": marker(middle)}
    ratio.plot(epochs, middle, **style)
    ratio.fill_between(epochs, r.quantile(0.25), r.quantile(0.75), color=style["color"], alpha=0.15)
    share.plot(epochs, 100 * run.layers.groupby("update")["decay_on"].mean(), **style)


def _table(axis, columns, table):
    axis.axis("off")
    cells = [list(map(verbatim, row)) for row in table]
    drawn = axis.table(cells, colLabels=columns, loc="center", cellLoc="center")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)
    drawn.auto_set_column_width(range(len(columns)))
    drawn.scale(1, 1.4)
