"""Labels stored as numbers or words, and the names of their classes."""

import os

import numpy as np

from tf_bdecay.data.pictures.layouts.names import listed, printable
from tf_bdecay.errors import BadInput, require

# Names of classes beside numbered labels, a line each in the order of labels.
_FILES = ("classes.txt", "classnames.txt", "label.labels.txt")


def labels_of_splits(path, stored, named=False):
    """Labels of each split and the classes, from what is stored.

    Args:
        path: where it is stored, for the messages.
        stored: dict of split, "train" among them, to an array [n] of integers or of strings.
        named: whether the numbers' classes have names elsewhere: some may be without pictures then.

    Returns:
        (labels, classes): dict of split to int64 [n], and the words in sorted order; None for
        them where numbers are stored, which stay as they are.

    Raises:
        BadInput: numbers in one split and words in another, numbers below 0 or with gaps between
            them, or a class that training lacks.
    """
    kinds = {split: array.dtype.kind for split, array in stored.items()}
    words = {split for split, kind in kinds.items() if kind in "UO"}
    require(
        len(words) in (0, len(stored)),
        f"Labels must be numbers in every split of {printable(path)}, or words in every one. "
        f"Received words in {listed(sorted(words))} alone",
    )
    known = np.unique(stored["train"])
    for split, array in stored.items():
        extra = np.setdiff1d(array, known).tolist()
        require(
            not extra,
            f"Every class of {printable(path)} needs pictures to train on. Received in {split} "
            f"alone: {listed(extra)}",
        )
    if words:
        labels = {split: np.searchsorted(known, array) for split, array in stored.items()}
        return labels, tuple(map(str, known.tolist()))
    if known.size and known[0] < 0:
        raise BadInput(
            f"Labels must be numbers >= 0. Received in train of {printable(path)}: "
            f"{known[0]}, at {int(np.argmin(stored['train']))}"
        )
    counted = () if named or not known.size else enumerate(known.tolist(), int(known[0]))
    for number, label in counted:
        require(
            number == label,
            f"Every class of {printable(path)} needs pictures to train on: number them without "
            f"gaps. Received labels from {known[0]} to {known[-1]}, and none of {number}",
        )
    return {split: array.astype(np.int64) for split, array in stored.items()}, None


def read_class_names(folder):
    """Names of the classes, in the order of their labels; None where no file has them.

    Args:
        folder: that the file is in.

    Raises:
        BadInput: names that are not one a line.
    """
    for name in _FILES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return _names(path)
    return None


def _names(path):
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        names = [line.strip() for line in file.read().rstrip().split("\n")]
    twice = sorted({name for name in names if names.count(name) > 1} if len(names) < 1e5 else ())
    require(
        names and all(names) and not twice,
        f"{printable(path)} must name a class on each line, each once. Received: "
        f"{'empty lines' if not all(names) else listed(twice)}",
    )
    return tuple(names)


def check_all_named(names, labels, where):
    """Raises `BadInput` unless every label has a name.

    Args:
        names: of the classes; None where there are none.
        labels: int64 [n].
        where: the labels are, for the message.
    """
    if names is not None and len(labels):
        low, high = int(labels.min()), int(labels.max())
        require(
            high - low < len(names) and high <= len(names),
            f"Labels in {where} must be of the {len(names):,} classes that are named there. "
            f"Received: labels from {low} to {high}",
        )
