"""Labels that are stored beside their pictures, as numbers or words, made labels of classes."""

import numpy as np

from tf_bdecay.data.pictures.layouts.names import listed, printable
from tf_bdecay.errors import BadInput, require


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
