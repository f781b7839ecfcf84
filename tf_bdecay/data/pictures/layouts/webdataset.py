"""Pictures in WebDataset shards: tars in which members of one name up to its first dot are one.

    PATH/NAME-train-000000.tar, ..., PATH/NAME-val-000000.tar, ..., or PATH/train/*.tar
    in each: KEY.jpg, KEY.cls (a whole number) or KEY.json (with "label"), KEY2.jpg, ...

Labels are numbers; names of the classes are taken from classes.txt beside the shards, where it is.
A shard that is cut short gives one record more, which stands for what is lost.
"""

import itertools
import json
import os
import re

from tf_bdecay.data.image_set import SPLITS
from tf_bdecay.data.pictures.layouts import archives
from tf_bdecay.data.pictures.layouts.labels import check_all_named, read_class_names
from tf_bdecay.data.pictures.layouts.names import is_picture, listed, printable
from tf_bdecay.data.pictures.records import Found
from tf_bdecay.data.pictures.spans import Names, Spans, read_at
from tf_bdecay.errors import BadInput, require, shown

LOOKED_FOR = "WebDataset shards, NAME-train-000000.tar and so on, of KEY.jpg with KEY.cls each"

_LABELS = ("cls", "json")
_PEEKED = 12  # members, of which some are of one sample


class Samples(Spans):
    """Pictures of samples."""

    def __init__(self, shards):
        """Takes indexed shards, as `_shard` gives them."""
        rows = [(place, *row) for place, (_, shard) in enumerate(shards) for row in shard]
        super().__init__(
            [(index.path, index.size) for index, _ in shards],
            [row[0] for row in rows],
            [row[2] for row in rows],
            [max(row[3], 0) for row in rows],
            [row[4] for row in rows],
            {n: shards[row[0]][0].lost for n, row in enumerate(rows) if row[3] < 0},
        )
        self._names = Names(row[1] for row in rows)

    def where(self, index):
        return f"{printable(self.path(index))}: {printable(self._names[index])}"


def _is_of_samples(path):
    """Whether an archive begins with samples: a picture and a label of one key."""
    names = [name for name, *_ in archives.index(path, "", 0, None, _PEEKED).members]
    pictures = {_key(name)[0] for name in names if is_picture(name)}
    return any(key in pictures and kind in _LABELS for key, kind in map(_key, names))


def recognise(path):
    """The WebDataset shards at a path as a `Found`; None where there are none."""
    found = archives.find(path)
    if found is None or not _is_of_samples(next(iter(found[0].values()))[0]):
        return None
    files, notes = found
    if None in files:
        files["train"] = files.pop(None)
    require(
        "train" in files,
        f"{printable(path)} has no shard to learn from, such as train-000000.tar. Received: "
        f"{listed(files)}",
    )
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    classes, splits = read_class_names(folder), {}
    for split in [split for split in SPLITS if split in files]:
        indexes = archives.index_all([(file,) for file in files[split]])
        shards = [(index, list(_shard(index))) for index in indexes]
        notes += [index.lost for index in indexes if index.lost]
        notes += _gaps(files[split])
        splits[split] = Samples(shards)
        check_all_named(classes, splits[split].labels, f"the {split} shards of {printable(path)}")
    return Found("; ".join(["WebDataset shards", *notes]), classes, splits)


def _key(name):
    """("folder/a", "seg.png") of "folder/a.seg.png"."""
    folder, base = os.path.split(name)
    key, _, kind = base.partition(".")
    return os.path.join(folder, key), kind.lower()


def _shard(index):
    """Rows (name, offset, length, label) of a shard; a length below 0 stands for what is lost."""
    label = None
    descriptor = os.open(index.path, os.O_RDONLY)
    try:
        groups = itertools.groupby(index.members, key=lambda member: _key(member[0])[0])
        groups = [(key, list(members)) for key, members in groups]
        for place, (key, members) in enumerate(groups):
            pictures = [member for member in members if is_picture(member[0])]
            labels = {_key(name)[1]: span for name, *span in members}
            said = [kind for kind in _LABELS if kind in labels]
            if index.lost and place == len(groups) - 1 and not (pictures and said):
                continue  # the cut went through it
            if not pictures and not said:
                continue  # of no picture: a readme
            require(
                len(pictures) == 1,
                f"{index.where(key)} must have one picture. Received: "
                f"{listed(os.path.basename(name) for name, *_ in members)}",
            )
            require(
                said,
                f"{index.where(key)} must have a label, a .cls or a .json. Received: "
                f"{listed(os.path.basename(name) for name, *_ in members)}",
            )
            texts = {kind: read_at(descriptor, *labels[kind]) for kind in said}
            label = _label(index, key, texts)
            yield *pictures[0], label
    finally:
        os.close(descriptor)
    require(label is not None, index.lost or f"{index.where()} holds no picture with a label.")
    if index.lost:
        yield "(what is lost)", 0, -1, label


def _label(index, key, texts):
    """The number that a sample's .cls or .json says; both, where they say the same."""
    found = {}
    for kind, content in texts.items():
        try:
            if kind == "cls":
                found[kind] = int(content)
            else:
                values = json.loads(content)
                if "label" in values or "cls" not in texts:
                    found[kind] = values["label"]
                    require(type(found[kind]) is int, "no whole number")
        except (ValueError, KeyError, TypeError) as error:
            right = "a whole number" if kind == "cls" else 'a whole number under "label"'
            raise BadInput(
                f"{index.where(key)}.{kind} must have {right}. Received: {shown(content, 90)}"
            ) from error
    require(
        len(set(found.values())) == 1,
        f"{index.where(key)} must have one label. Received: {shown(found)}",
    )
    return next(iter(found.values()))


def _gaps(files):
    """Sentences on numbers that are left out of the shards' names."""
    numbers = [re.findall("[0-9]+", os.path.basename(file)) for file in files]
    numbers = sorted(int(found[-1]) for found in numbers if found)
    missing = sorted(set(range(numbers[-1] + 1)) - set(numbers)) if numbers else []
    if missing and len(set(numbers)) == len(numbers) and len(missing) < len(numbers):
        yield f"no shards of these numbers: {listed(missing)}"
