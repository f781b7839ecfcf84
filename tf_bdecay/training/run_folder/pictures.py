"""Which pictures and classes a run has, as `pictures.json` in its folder says, beside others."""

import hashlib
import json

from tf_bdecay.data import catalog
from tf_bdecay.errors import BadInput, require, shown
from tf_bdecay.storage.files import json_ready, read_json

FILE = "pictures.json"
_SKIPPED = "skipped pictures"  # with where they are, which may be another folder by now


def check_same(folder, record, otherwise):
    """Raises `BadInput` unless a run began with these pictures; of one without a record, nothing.

    Args:
        folder: a `pathlib.Path`, of the run.
        record: of a `PictureSet`.
        otherwise: what its user can do instead, for the message.
    """
    file = folder / FILE
    if not file.exists():
        return
    before = read_json(file, dict, otherwise)
    differing = [name for name, value in _lasting(record).items() if before.get(name) != value]
    require(
        not differing,
        f"The pictures are not those that the run in {folder} began with: their "
        f"{', '.join(differing)} differ from {FILE}. Put them back, or {otherwise}.",
    )


def digest(record):
    """The first 16 hexadecimal digits of a hash of a `PictureSet`'s record."""
    return hashlib.sha256(json.dumps(_lasting(record), sort_keys=True).encode()).hexdigest()[:16]


def _lasting(record):
    return {name: value for name, value in json_ready(record).items() if name != _SKIPPED}


def classes_of(weights):
    """The classes that weights were trained on, by the folder of their run.

    Args:
        weights: a `pathlib.Path`, of a file of weights.

    Returns:
        A tuple of names; None where no run is around them, or one that does not say.
    """
    folder = weights.absolute().parent
    folder = folder.parent if weights.suffix == ".npz" else folder  # from its checkpoints/
    try:
        name = read_json(folder / "config.json", {"data.name": str})["data.name"]
    except BadInput:  # of something else: the weights may lie anywhere
        return None
    if name == "pictures" and (folder / FILE).is_file():
        return tuple(read_json(folder / FILE, {"classes": [str]})["classes"])
    return catalog.classes_of(name)


def compared(there, here):
    """Compares the classes that weights were trained on with those of a data set.

    Args:
        there, here: names in the order of their labels; None where they are not known.

    Returns:
        (difference, note), in words, each of which may be "": how they differ, and what cannot be
        told where one side has names and the other only numbers.
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
