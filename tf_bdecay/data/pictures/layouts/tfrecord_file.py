"""One file of TFRecords: where its records, their pictures and labels are."""

import array
import dataclasses
import os
import struct

import numpy as np

from tf_bdecay.data import crc32c, tfrecords
from tf_bdecay.data.pictures.layouts.names import listed, printable
from tf_bdecay.data.pictures.spans import Spans, read_at
from tf_bdecay.errors import BadInput, require
from tf_bdecay.storage.files import atomic_write

_PICTURES, _LABELS = ("image/encoded", "image"), ("image/class/label", "label")
_NAMES = "image/class/synset"
_FRAME = tfrecords.HEAD + tfrecords.TAIL


@dataclasses.dataclass
class Shard:
    """What was found in a file.

    Attributes:
        path, size: of the file.
        offsets, lengths: int64 arrays, of the records.
        starts, ends: int64 arrays, of the pictures in them.
        labels: int64 array.
        damaged: dict of record to what is wrong with it.
        lost: the sentence on what comes after the last; None for a whole file.
        names: dict of label to the name that records give it.
    """

    path: str
    size: int = 0
    offsets: array.array = dataclasses.field(default_factory=lambda: array.array("q"))
    lengths: array.array = dataclasses.field(default_factory=lambda: array.array("q"))
    starts: array.array = dataclasses.field(default_factory=lambda: array.array("q"))
    ends: array.array = dataclasses.field(default_factory=lambda: array.array("q"))
    labels: array.array = dataclasses.field(default_factory=lambda: array.array("q"))
    damaged: dict = dataclasses.field(default_factory=dict)
    lost: str | None = None
    names: dict = dataclasses.field(default_factory=dict)

    def add(self, offset, length, start, end, label):
        """Adds a record."""
        for column, value in zip(
            (self.offsets, self.lengths, self.starts, self.ends, self.labels),
            (offset, length, start, end, label),
            strict=True,
        ):
            column.append(value)


class Examples(Spans):
    """Pictures in records, whose checksum is looked at when they are read."""

    def __init__(self, shards):
        """Takes the `Shard`s of a split."""
        counts = [len(shard.labels) for shard in shards]
        self._ends = np.cumsum(counts)

        def joined(name):
            return np.concatenate([np.asarray(getattr(shard, name), np.int64) for shard in shards])

        firsts = self._ends - counts
        super().__init__(
            [(shard.path, shard.size) for shard in shards],
            np.repeat(range(len(shards)), counts),
            joined("offsets"),
            joined("lengths"),
            joined("labels"),
            {
                int(first) + record: sentence
                for first, shard in zip(firsts, shards, strict=True)
                for record, sentence in shard.damaged.items()
            },
        )
        self._pictures = np.stack([joined("starts"), joined("ends")], 1)
        self._firsts = firsts

    def where(self, index):
        return _where(self.path(index), index - int(self._firsts[self._file_of[index]]))

    def read(self, index):
        record = super().read(index)
        length, start, end = int(self._lengths[index]), *map(int, self._pictures[index])
        framed = self.span(index, int(self._offsets[index]) + length, tfrecords.TAIL)
        if framed != _sum(record):
            raise BadInput(
                f"{self.where(index)} has a wrong checksum: the file is damaged; fetch it again."
            )
        return record[start:end]


def is_head(head):
    """Whether 12 bytes are a record's length and its checksum."""
    return len(head) == tfrecords.HEAD and _sum(head[:8]) == head[8:]


def _sum(content):
    return struct.pack("<I", crc32c.masked(content))


def index_of(path):
    """Path of the file that has a shard's index, where the shard was prepared here."""
    return f"{path}.index"


def write_index(shard):
    """Writes a shard's index beside it, so that it need not be walked again.

    Args:
        shard: a whole `Shard`.
    """
    columns = (shard.offsets, shard.lengths, shard.starts, shard.ends, shard.labels)
    rows = np.array([*zip(*columns, strict=True), (shard.size, 0, 0, 0, 0)], "<i8").tobytes()
    atomic_write(index_of(shard.path), lambda file: file.write(rows + _sum(rows)))


def read_index(path):
    """A `Shard` by its index; None where there is none that is whole and of a file of this size."""
    try:
        with open(index_of(path), "rb") as file:
            content = file.read()
        size = os.path.getsize(path)
    except OSError:
        return None
    rows, check = content[:-4], content[-4:]
    if len(rows) % 40 or len(rows) < 80 or check != _sum(rows):
        return None
    *records, (told, *_) = np.frombuffer(rows, "<i8").reshape(-1, 5).tolist()
    if told != size:
        return None
    shard = Shard(path, size)
    for row in records:
        shard.add(*row)
    return shard


def walk(path, count=None):
    """Finds the records of a file.

    Args:
        path: of the file.
        count: of records that it should have; None where that is not known.

    Returns:
        A `Shard`.

    Raises:
        OSError: it cannot be read.
        BadInput: it is compressed, has none, or records of other features.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        shard = Shard(path, os.fstat(descriptor).st_size)
        _walk(shard, descriptor)
    finally:
        os.close(descriptor)
    number = len(shard.labels)
    if count is not None and number != count and not shard.lost:
        shard.lost = (
            f"{printable(path)} has {number:,} records, and should have {count:,}: fetch it again."
        )
    require(number, shard.lost or f"{printable(path)} is empty: fetch it again.")
    require(len(shard.damaged) < number, shard.damaged.get(0))
    if shard.lost:
        shard.damaged[number] = shard.lost
        shard.add(0, 0, 0, 0, shard.labels[-1])
    return shard


def _walk(shard, descriptor):
    place = 0
    while place < shard.size:
        head, number = read_at(descriptor, place, tfrecords.HEAD), len(shard.labels)
        if not is_head(head) and len(head) == tfrecords.HEAD:
            require(
                place or head[:2] != b"\x1f\x8b",
                f"{printable(shard.path)} is compressed, and cannot be read at random places: "
                "unpack it, as `gunzip` does.",
            )
            shard.lost = (
                f"{_where(shard.path, number)} has a length whose checksum is wrong, and what "
                "comes after it is lost: the file is damaged; fetch it again."
            )
            return
        (length,) = struct.unpack_from("<Q", head.ljust(8, b"\0"))
        if len(head) < tfrecords.HEAD or place + length + _FRAME > shard.size:
            shard.lost = f"{_where(shard.path, number)} is cut short: fetch the file again."
            return
        _add(shard, descriptor, number, place + tfrecords.HEAD, length)
        place += length + _FRAME


def _add(shard, descriptor, number, offset, length):
    """Adds a record; of one that is damaged, with the label before."""

    def read(start, end):
        return read_at(descriptor, offset + start, end - start)

    try:
        found = tfrecords.places(read, length)
        picture = _feature(shard, number, found, _PICTURES, slice)
        label = _feature(shard, number, found, _LABELS, int)
    except (ValueError, IndexError) as error:
        framed = read(0, length + tfrecords.TAIL)
        if isinstance(error, BadInput) and framed[length:] == _sum(framed[:length]):
            raise  # as it was written
        shard.damaged[number] = (
            f"{_where(shard.path, number)} is damaged, or no tf.train.Example: fetch the file "
            "again."
        )
        shard.add(offset, length, 0, 0, shard.labels[-1] if number else 0)
        return
    shard.add(offset, length, picture.start, picture.stop, label)
    name = found.get(_NAMES)
    if isinstance(name, slice) and name.stop > name.start and label not in shard.names:
        shard.names[label] = read(name.start, name.stop).decode("utf-8", "replace")


def _feature(shard, number, found, names, kind):
    value = next((found[name] for name in names if name in found), None)
    what = "bytes" if kind is slice else "a whole number"
    require(
        isinstance(value, kind),
        f"{_where(shard.path, number)} must have a feature {' or '.join(names)}, of {what}. "
        f"Received: {listed(found)}",
    )
    return value


def _where(path, record):
    return f"{printable(path)}, record {record}"
