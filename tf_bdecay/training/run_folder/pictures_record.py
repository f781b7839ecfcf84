"""The pictures and classes of a run, recorded in its `pictures.json`, compared with others."""

import hashlib
import json

from tf_bdecay.data import catalog
from tf_bdecay.errors import BadInput, require, shown
from tf_bdecay.storage.files import json_ready, read_json

FILE = "pictures.json"
# Where the pictures lie, in words: they may have moved, or be named by another path.
_PLACES = ("layout", "skipped pictures")


def check_same(folder, record, otherwise):
    """Raises `BadInput` unless a run began with these pictures; accepts a run without a record.

    Args:
        folder: the run's folder, a `pathlib.Path`.
        record: the record of a `PictureSet`.
        otherwise: what the user can do instead, for the message.
    """
    file = folder / FILE
    if not file.exists():
        return
    before = read_json(file, dict, otherwise)
    differing = [name for name, value in lasting(record).items() if before.get(name) != value]
    require(
        not differing,
        f"The pictures are not those that the run in {folder} began with: their "
        f"{', '.join(differing)} differ from {FILE}. Put them back, or {otherwise}.",
    )


def digest(record):
    """The first 16 hexadecimal digits of a hash of a `PictureSet`'s record."""
    return hashlib.sha256(json.dumps(lasting(record), sort_keys=True).encode()).hexdigest()[:16]


def lasting(record):
    """The JSON values of a record that identify the images, wherever they lie."""
    return {name: value for name, value in json_ready(record).items() if name not in _PLACES}


def classes_of(weights):
    """The classes that weights were trained on, from the folder of their run.

    Args:
        weights: a file of weights, a `pathlib.Path`.

    Returns:
        A tuple of names; None if the file is in no run, or in one that does not tell.
    """
    folder = weights.absolute().parent
    folder = folder.parent if weights.suffix == ".npz" else folder  # out of checkpoints/
    try:
        name = read_json(folder / "config.json", {"data.name": str})["data.name"]
    except BadInput:  # it is no run's folder: weights may lie anywhere
        return None
    if name == "pictures" and (folder / FILE).is_file():
        return tuple(read_json(folder / FILE, {"classes": [str]})["classes"])
    return catalog.classes_of(name)


def compared(there, here):
    """Compares the classes that weights were trained on with those of a data set.

    Args:
        there, here: names in the order of their labels; None if unknown.

    Returns:
        (difference, note), in words, each of which may be "". The first says how they differ, the
        second what cannot be told because one side has names and the other only numbers.
    """
    if there is None or here is None or tuple(there) == tuple(here):
        return "", ""
    if len(there) != len(here):
        return f"{len(there)} classes there, {len(here)} here", ""
    first = next(label for label in range(len(here)) if there[label] != here[label])
    words = f"class {first} is {shown(there[first])} there and {shown(here[first])} here"
    if _are_numbers(there) != _are_numbers(here):
        return "", f"{words}: taken to be the same classes in the same order"
    return words, ""


def _are_numbers(classes):
    return all(map(str.isdecimal, classes))
