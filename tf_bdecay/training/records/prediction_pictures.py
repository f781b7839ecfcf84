"""Pictures of a network's training images, its confusions and its mistakes."""

import collections
import math

import numpy as np
from matplotlib.figure import Figure

from tf_bdecay.terminal.figures import save_picture, verbatim

MATRIX = 30  # classes up to which the whole matrix is legible
_PAIRS = 30
_COLUMNS, _SHEET_COLUMNS = 6, 8
_LONGEST = 24  # most characters of a class's name


def draw_confusion(path, predictions, names, title):
    """Draws which classes are confused: a matrix or, for many classes, the worst pairs.

    Args:
        path: of the PNG.
        predictions: a `predictions.Predictions`.
        names: class names, by label.
        title: of the run.
    """
    right = f"{predictions.accuracy:.2%} of {len(predictions.labels):,} test pictures right"
    many = len(names) > MATRIX
    figure = (_pairs if many else _matrix)(predictions, [_short(name) for name in names])
    what = "the most confused classes" if many else "true class by predicted class"
    figure.suptitle(f"{verbatim(title)}\n{right} (moving statistics): {what}", fontsize=11)
    save_picture(figure, path, dpi=110)


def draw_mistakes(path, predictions, names, title):
    """Draws the misclassified pictures with the highest probabilities.

    Args:
        path, predictions, names, title: as in `draw_confusion`.
    """
    mistakes = predictions.mistakes
    wrong = int(np.sum(predictions.labels != predictions.predicted))
    rows = max(math.ceil(len(mistakes) / _COLUMNS), 1)
    figure = Figure(figsize=(14, 1.0 + 2.75 * rows), layout="constrained")
    count = "no test picture is taken for another class"
    if wrong:
        shown = "all" if wrong == len(mistakes) else f"the {len(mistakes)} most confident of"
        count = f"{shown} {wrong:,} mistakes among {len(predictions.labels):,} test pictures"
    figure.suptitle(f"{verbatim(title)}\n{count}", fontsize=11)
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, mistake in zip(axes, mistakes, strict=False):
        _show(axis, mistake.picture)
        true, other = (_short(names[label]) for label in (mistake.label, mistake.predicted))
        axis.set_title(f"is {true}\ntaken for {other}\n{mistake.probability:.1%}", fontsize=9)
    save_picture(figure, path, dpi=110)


def draw_training(path, pictures, names, title):
    """Draws training pictures as the network receives them.

    Args:
        path, title: as in `draw_confusion`.
        pictures: float32 [n, height, width, channels] in [0, 1].
        names: their class names; several are on a line each.
    """
    rows = math.ceil(len(pictures) / _SHEET_COLUMNS)
    figure = Figure(figsize=(14, 1.0 + 1.95 * rows), layout="constrained")
    count = f"the first {len(pictures)} pictures of the first epoch"
    what = f"{count}, {'x'.join(map(str, pictures.shape[1:3]))}, as the network is given them"
    figure.suptitle(f"{verbatim(title)}\n{what}", fontsize=11)
    axes = figure.subplots(rows, _SHEET_COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, picture, name in zip(axes, pictures, names, strict=False):
        _show(axis, picture)
        axis.set_title("\n".join(map(_short, name.split("\n"))), fontsize=9)
    save_picture(figure, path, dpi=110)


def _show(axis, picture):
    grey = picture.shape[-1] != 3
    axis.imshow(picture.mean(-1) if grey else picture, cmap="gray", vmin=0, vmax=1)


def _matrix(predictions, names):
    """A cell per pair of classes: the number of pictures, coloured by share of the true class."""
    count = len(names)
    table = np.zeros((count, count), int)
    np.add.at(table, (predictions.labels, predictions.predicted), 1)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = max(0.42 * count, 4.5)
    figure = Figure(figsize=(side + 2.5, side + 1.8), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the true class")
    for row, column in np.argwhere(table):
        colour = "white" if share[row, column] > 0.6 else "black"
        number = str(table[row, column])
        size = min(9, 24 / len(number))
        axis.text(column, row, number, ha="center", va="center", color=colour, fontsize=size)
    long = max(map(len, names)) > 2
    axis.set_xticks(range(count), names, rotation=90 if long else 0, fontsize=9)
    axis.set_yticks(range(count), names, fontsize=9)
    axis.set(xlabel="predicted", ylabel="true")
    return figure


def _pairs(predictions, names):
    """A bar for each of the most frequently confused pairs of classes."""
    wrong = predictions.labels != predictions.predicted
    both = zip(predictions.labels[wrong], predictions.predicted[wrong], strict=True)
    found = collections.Counter((int(a), int(b)) for a, b in both)
    worst = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:_PAIRS]
    of = np.bincount(predictions.labels, minlength=len(names))
    figure = Figure(figsize=(10, 1.8 + 0.27 * max(len(worst), 4)), layout="constrained")
    axis = figure.subplots()
    counts = [number for _, number in worst]
    bars = axis.barh(range(len(worst)), counts, color="#0072B2")
    words = [f"{n:,} of {of[true]:,}" for (true, _), n in worst]
    axis.bar_label(bars, words, padding=3, fontsize=8)
    labels = [f"{names[true]} taken for {names[other]}" for (true, other), _ in worst]
    axis.set_yticks(range(len(worst)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="test pictures of the class")
    return figure


def _short(name):
    """A class's name in bounded length: the end of a path tells more than its beginning."""
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST // 3]}…{name[-(2 * _LONGEST // 3 - 1) :]}"
    return verbatim(name)
