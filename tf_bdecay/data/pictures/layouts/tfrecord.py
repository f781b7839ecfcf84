"""Pictures in TFRecords, as the TPU and Model Garden repositories have them, and prepared sets.

    PATH/train-00000-of-01024, PATH/validation-00000-of-00128, or the same in PATH/train/
        features image/encoded, image/class/label (there from 1 to 1,000), image/class/synset
    PATH/dataset_info.json, PATH/NAME-train.tfrecord-00000-of-00005, label.labels.txt
        features image, label (tensorflow-datasets)

Labels are given as they are stored. Names of the classes are those of label.labels.txt or
classes.txt, else the records' own. To find the records, their lengths are walked from one to the
next and each label is read, without its picture; what tools/prepare_images.py wrote has an index
instead. All checksums are looked at: those of lengths then, those of records as they are read.
Where a file is cut short or damaged, one record more stands for what is lost, with the label of
the one before.
"""

import glob
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tf_bdecay.data.image_set import SPLITS
from tf_bdecay.data.pictures.layouts import tfrecord_file
from tf_bdecay.data.pictures.layouts.labels import check_all_named, read_class_names
from tf_bdecay.data.pictures.layouts.names import (
    check_all_shards,
    entries_of,
    listed,
    printable,
    split_named,
)
from tf_bdecay.data.pictures.records import Found
from tf_bdecay.errors import BadInput, first_line, require

LOOKED_FOR = (
    "TFRecords, train-00000-of-00008 and so on, or a folder that tensorflow-datasets prepared"
)

_NAME = re.compile(r"(.*?)(?:\.tfrecords?)?-([0-9]+)-of-([0-9]+)(?:\.tfrecords?)?")
_ONE = re.compile(r"(.*)\.tfrecords?")
_INFO = "dataset_info.json"
_AT_ONCE = 16


def recognise(path):
    """The TFRecords at a path as a `Found`; None where there are none."""
    if os.path.isfile(path):
        folder, files = os.path.dirname(path), {}
        _sort_in(files, None, [path])
        if not files and not _begins_as_records(path):
            return None
        files = {"train": [path]}
    else:
        folder = _versioned(path)
        files = _files(folder)
    if not files:
        return None
    require(
        "train" in files,
        f"{printable(path)} has no TFRecords to learn from, such as train-00000-of-00008. "
        f"Received: {listed(os.path.basename(names[0]) for names in files.values())}",
    )
    counts = _counts(folder, files)
    splits, notes, named = {}, [], {}
    for split in [split for split in SPLITS if split in files]:
        parts = [_NAME.fullmatch(os.path.basename(file)) for file in files[split]]
        where = os.path.dirname(files[split][0])
        check_all_shards(where, [part.groups() for part in parts if part])
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            walk = [(file, counts.get(file)) for file in files[split]]
            shards = list(pool.map(_shard, walk))
        notes += [shard.lost for shard in shards if shard.lost]
        splits[split] = tfrecord_file.Examples(shards)
        for shard in shards:
            _merge(named, shard)
    classes = read_class_names(folder)
    for split, found in splits.items():
        if classes:
            where = f"the {split} split of {printable(path)}"
            check_all_named(classes, found.labels[found.labels >= 0], where)
    layout = "TFRecords of tensorflow-datasets" if _is_prepared(folder) else "TFRecords"
    return Found("; ".join([layout, *notes]), classes or _own_names(splits, named), splits)


def _shard(walk):
    return tfrecord_file.read_index(walk[0]) or tfrecord_file.walk(*walk)


def _is_prepared(folder):
    return os.path.isfile(os.path.join(folder, _INFO))


def _versioned(path):
    """The folder of a prepared set's newest version, where the path is that of the set."""
    if _is_prepared(path):
        return path

    def version(folder):
        return [int(n) for n in re.findall("[0-9]+", os.path.basename(folder))]

    pattern = os.path.join(glob.escape(path), "[0-9]*.[0-9]*.[0-9]*", _INFO)
    versions = sorted((os.path.dirname(info) for info in glob.glob(pattern)), key=version)
    return versions[-1] if versions else path


def _files(folder):
    """Dict of split to files of records, in order of name."""
    files = {}
    entries = entries_of(folder)
    _sort_in(files, None, [entry.path for entry in entries if entry.is_file()])
    if not files:
        for entry in entries:
            if entry.is_dir() and split_named(entry.name):
                below = [one.path for one in entries_of(entry.path) if one.is_file()]
                _sort_in(files, split_named(entry.name), below)
    return {split: sorted(names) for split, names in files.items()}


def _sort_in(files, split, paths):
    """Adds the files of records among paths to their splits."""
    for path in paths:
        name = os.path.basename(path)
        parts = _NAME.fullmatch(name) or _ONE.fullmatch(name)
        if parts:
            words = re.findall("[a-z]+", parts[1].lower())
            own = split or next(
                (split_named(word) for word in reversed(words) if split_named(word)), None
            )
            if own:
                files.setdefault(own, []).append(path)


def _begins_as_records(path):
    """Whether a file without a telling name begins with a record's length and its checksum."""
    with open(path, "rb") as file:
        head = file.read(12)
    # Text and archives have no length below 4 GiB there, whose checksum would be asked for.
    return not head[4:8].strip(b"\0") and tfrecord_file.is_head(head)


def _counts(folder, files):
    """Dict of a file to the records that dataset_info.json says it has."""
    if not _is_prepared(folder):
        return {}
    path, counts = os.path.join(folder, _INFO), {}
    try:
        with open(path, encoding="utf-8") as file:
            for described in json.load(file)["splits"]:
                found = files.get(split_named(described["name"]), [])
                lengths = [int(length) for length in described["shardLengths"]]
                if len(lengths) == len(found):
                    counts.update(zip(found, lengths, strict=True))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{printable(path)} must be as tensorflow-datasets writes it: prepare the set again. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        ) from error
    return counts


def _merge(named, shard):
    """Adds the names that a shard's records give to labels."""
    for label, name in shard.names.items():
        require(
            named.setdefault(label, name) == name,
            f"A label must be of one class. Received for {label}, in {printable(shard.path)} and "
            f"before it: {listed(sorted([named[label], name]))}",
        )


def _own_names(splits, named):
    """The names that the records give, in order of label; None unless all labels have one."""
    labels = np.unique(np.concatenate([found.labels for found in splits.values()])).tolist()
    if not named or labels != list(range(labels[0], labels[0] + len(labels))) or labels[0] > 1:
        return None
    names = [named.get(label) for label in labels]
    return tuple(names) if None not in names and len(set(names)) == len(names) else None
