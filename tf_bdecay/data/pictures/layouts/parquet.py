"""Pictures in parquet files as the Hugging Face hub has them: a column of bytes, one of labels.

A file's rows are in groups, which are read whole; some stay in memory. Read in order a group is
read once; in an order by chance nearly every picture reads a group of some hundred.
"""

import collections
import importlib.util
import os
import re
import threading

import numpy as np

from tf_bdecay.data.image_set import SPLITS
from tf_bdecay.data.pictures.layouts.labels import labels_of_splits
from tf_bdecay.data.pictures.layouts.names import (
    check_all_shards,
    is_hidden,
    listed,
    printable,
    split_named,
    split_of_file,
)
from tf_bdecay.data.pictures.layouts.parquet_file import ParquetFile
from tf_bdecay.data.pictures.records import Found, Records
from tf_bdecay.errors import BadInput, require

LOOKED_FOR = "parquet files as the Hugging Face hub has them, in it or in its data/"
_SUFFIX = ".parquet"
_CACHE = 256 * 2**20  # bytes of pictures that a split keeps in memory


class Rows(Records):
    """Pictures in rows of files; only what is kept in memory is open between calls."""

    def __init__(self, shards, labels, column, cache=_CACHE):
        """Takes the files of a split.

        Args:
            shards: a `ParquetFile` each, in order.
            labels: int64 [n].
            column: name of that of the pictures' bytes: "image.bytes", or "image".
            cache: bytes of pictures that stay in memory.
        """
        super().__init__(labels)
        self._shards, self._column = shards, column
        counts = [count for shard in shards for count in shard.groups]
        self._group_ends = np.cumsum(counts)
        self._places = [(s, g) for s, shard in enumerate(shards) for g in range(len(shard.groups))]
        self._cache = _Cache(cache)

    def read(self, index):
        group, row = self._place(index)
        shard, number = self._places[group]
        column = self._cache.get(group, lambda: self._shards[shard].column(self._column, number))
        content = column[row].as_py()
        require(content, f"{self.where(index)} has no bytes, where a picture should be.")
        return content

    def files(self):
        return [shard.path for shard in self._shards]

    def where(self, index):
        group, row = self._place(index)
        shard, number = self._places[group]
        first = sum(self._shards[shard].groups[:number])
        return f"{printable(self._shards[shard].path)}, row {first + row:,}"

    def _place(self, index):
        """(number of the group in the split, row in it)."""
        group = int(np.searchsorted(self._group_ends, index, side="right"))
        return group, int(index - (self._group_ends[group - 1] if group else 0))


class _Cache:
    """The values last asked for, up to `most` bytes; no two threads make one at once."""

    def __init__(self, most):
        self._most, self._held = most, 0
        self._values, self._making = collections.OrderedDict(), {}
        self._lock = threading.Lock()

    def get(self, key, make):
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:  # others that want the same wait for it; the rest go on
            with self._lock:
                if key in self._values:
                    return self._values[key]
            value = make()
            with self._lock:
                self._values[key] = value
                self._held += value.nbytes
                self._making.pop(key, None)
                while self._held > self._most and len(self._values) > 1:
                    self._held -= self._values.popitem(last=False)[1].nbytes
            return value


def recognise(path):
    """Parquet files at a path as a `Found`; None where there are none."""
    files, others = _files(path)
    if not files:
        return None
    require(
        importlib.util.find_spec("pyarrow"),
        f"{printable(path)} has parquet files, which are read with pyarrow: `pip install pyarrow`.",
    )
    shards = {
        split: [ParquetFile(file) for file in files[split]] for split in SPLITS if split in files
    }
    column, label, classes = shards["train"][0].columns()
    for shard in (shard for split in shards.values() for shard in split):
        its = shard.columns()
        require(
            its == (column, label, classes),
            f"{printable(shard.path)} must have the columns and classes of "
            f"{printable(shards['train'][0].path)}, which are {_columns_in_words(column, label)}. "
            f"Received: {_columns_in_words(*its[:2])}"
            + ("" if its[2] == classes else f", classes {listed(its[2] or ['no names'])}"),
        )
    layout = f"parquet files, {_columns_in_words(column, label)}"
    stored = {split: _stored(shards[split], label) for split in shards}
    if "test" in stored and stored["test"].dtype.kind == "i" and (stored["test"] == -1).all():
        del stored["test"]  # so the hub's sets say that the labels are kept back
        layout += "; test left out, since its pictures have no labels"
    layout += f"; not read: {listed(map(os.path.basename, others))}" if others else ""
    if classes is not None:
        _check_range(stored, shards, column, len(classes))
        labels, _ = labels_of_splits(path, stored, named=True)
        classes = tuple(classes)
    else:
        labels, classes = labels_of_splits(path, stored)
    splits = {split: Rows(shards[split], labels[split], column) for split in labels}
    for split, rows in splits.items():
        require(len(rows), f"The {split} split of {printable(path)} has no pictures.")
    return Found(layout, classes, splits)


def _columns_in_words(column, label):
    return f"pictures in {column}, labels in {label}"


def _files(path):
    """(dict of split to its files in order, files that are of none)."""
    if os.path.isfile(path):
        return ({"train": [path]}, []) if path.lower().endswith(_SUFFIX) else ({}, [])
    found = {}
    for folder in sorted(os.listdir(path)):
        if folder == "data" or split_named(folder):
            found |= _in(os.path.join(path, folder), split_named(folder))
    found |= _in(path, None)
    others = sorted(file for file, split in found.items() if split is None)
    if len(others) == len(found):
        files, others = {"train": others} if others else {}, []
    else:
        files = {
            split: sorted(file for file, its in found.items() if its == split) for split in SPLITS
        }
        files = {split: its for split, its in files.items() if its}
        require(
            "train" in files,
            f"{printable(path)} has no parquet files of the train split. Received: {listed(files)}",
        )
    for split, its in files.items():
        parts = [re.search(r"-(\d+)-of-(\d+)\.", os.path.basename(file)) for file in its]
        check_all_shards(path, [(split, *part.groups()) for part in parts if part])
    return files, others


def _in(folder, split):
    """Dict of a folder's parquet files to the split that the folder's or their own name tells."""
    if not os.path.isdir(folder):
        return {}
    names = [
        name
        for name in os.listdir(folder)
        if name.lower().endswith(_SUFFIX) and not is_hidden(name)
    ]
    return {os.path.join(folder, name): split or split_of_file(name) for name in names}


def _stored(shards, label):
    """The labels of a split, as they are: an array of numbers or of strings."""
    parts = []
    for shard in shards:
        column = shard.column(label)
        require(
            column.null_count == 0,
            f"Every row of {printable(shard.path)} must have a label. Received: "
            f"{column.null_count:,} rows without",
        )
        parts.append(column.to_numpy())
    return np.concatenate(parts)


def _check_range(stored, shards, column, count):
    """Labels of classes that have names must be among them."""
    for split, labels in stored.items():
        outside = (labels < 0) | (labels >= count)
        if outside.any():
            first = int(outside.argmax())
            raise BadInput(
                f"Labels must be in 0, ..., {count - 1}, of the {count} classes that the file "
                f"names. Received: {labels[first]} in "
                f"{Rows(shards[split], labels, column).where(first)}"
            )
