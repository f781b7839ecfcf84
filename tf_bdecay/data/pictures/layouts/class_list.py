"""Names of classes in a text file beside numbered labels, a line each in the order of labels."""

import os

from tf_bdecay.data.pictures.layouts.names import listed, printable
from tf_bdecay.errors import BadInput, require

FILES = ("classes.txt", "classnames.txt", "label.labels.txt")


def read(folder):
    """Names of the classes, in the order of their labels; None where no file has them.

    Args:
        folder: that the file is in.

    Raises:
        BadInput: a file that cannot be read, or names that are not one a line.
    """
    for name in FILES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return _names(path)
    return None


def _names(path):
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            names = [line.strip() for line in file.read().rstrip().split("\n")]
    except OSError as error:
        raise BadInput(f"{printable(path)} cannot be read: {error.strerror or error}.") from error
    twice = sorted({name for name in names if names.count(name) > 1} if len(names) < 1e5 else ())
    require(
        names and all(names) and not twice,
        f"{printable(path)} must name a class on each line, each once. Received: "
        f"{'empty lines' if not all(names) else listed(twice)}",
    )
    return tuple(names)


def check(names, labels, where):
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
