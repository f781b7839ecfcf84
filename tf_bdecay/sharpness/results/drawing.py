"""Parts that a measurement's pictures share: axes with layers as rows, headline, caption, ticks."""

import math
import textwrap

import numpy as np
from matplotlib.figure import Figure

from tf_bdecay.terminal.figures import verbatim

_ROW = 0.2  # inches per layer
_LABEL = 34  # characters of a layer's name that are shown


def by_layer(names, width, caption, panels=1):
    """A figure with one row per layer, the first at the top."""
    figure = Figure(figsize=(width, max(1.9 + _ROW * len(names), 3.2)), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True)
    for axis in np.atleast_1d(axes):
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.spines[["top", "right"]].set_visible(False)
        for row in range(1, len(names), 2):  # the eye follows a row across the panels
            axis.axhspan(row - 0.5, row + 0.5, color="#f4f4f4", zorder=0)
        axis.set_yticks(range(len(names)), [verbatim(_short(name)) for name in names], fontsize=8)
        axis.grid(axis="x", color="#e2e2e2")
        axis.set_axisbelow(True)
    foot(figure, caption)
    return figure, axes


def error_bars(axis, ends, errors):
    """Draws standard errors at the ends of the rows' bars, and returns how far each row reaches."""
    if np.isfinite(errors).any():
        rows = np.arange(len(ends))
        axis.errorbar(ends, rows, xerr=errors, fmt="none", ecolor="#333333", elinewidth=0.9)
    return ends + np.nan_to_num(errors)


def beside(axis, text, x, row, points=4, fontsize=7, **style):
    """Writes a number `points` points to the right of where its row ends."""
    place = dict(xytext=(points, 0), textcoords="offset points", va="center")
    axis.annotate(text, (x, row), fontsize=fontsize, **place, **style)


def head(figure, text):
    """Writes the headline, wrapped."""
    wide = int(figure.get_figwidth() * 10.5)
    figure.suptitle(textwrap.fill(text.strip(), wide), x=0.01, ha="left", fontsize=11)


def foot(figure, text):
    """Writes the caption, wrapped."""
    wide = int(figure.get_figwidth() * 16)
    style = dict(x=0.01, ha="left", fontsize=8, color="#555555")
    figure.supxlabel(verbatim(textwrap.fill(text, wide)), **style)


def plain_ticks(axis, low, high):
    """Labels a logarithmic axis with plain numbers; below three decades also at 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    subs = (1, 2, 5) if high / low < 1e3 else (1,)
    axis.xaxis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def few_ticks():
    """A locator with at most three intervals, for a narrow panel."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3)


def _short(name):
    """A layer's name, without its middle if it is long."""
    if len(name) <= _LABEL:
        return name
    return f"{name[: _LABEL // 2 - 1]}…{name[-_LABEL // 2 :]}"


def value(result):
    """The total of a result with its standard error."""
    error = result["standard_error"]
    rounded = "" if error is None else f" ± {float(f'{error:.1g}'):g}"  # 60, not 6e+01
    return f"{result['total']:.3g}{rounded}"


def errors(result, level):
    """Standard errors of the groups at a level; NaN where there is none."""
    errors = [cell["standard_error"] for cell in result[f"by_{level}"].values()]
    return np.array([math.nan if e is None else e for e in errors])


def symbol(text):
    """A symbol with its subscript or superscript typeset."""
    for plain, set_ in (("C_m", "$C_m$"), ("FR^2", "FR²"), ("lambda(H)", "λ(H)")):
        text = text.replace(plain, set_)
    return text
