"""Pictures of any layout written as TFRecords: plain, smaller on request, with an index.

    train-00000-of-00008          records as TPU repositories have them, labels as given
    train-00000-of-00008.index    where its records are, with a checksum
    classes.txt                   names in the order of labels
    prepared.json                 of what, and how; whoever goes on must mean the same pictures

A shard gets its name when it is whole, so that a run that was ended goes on with the next.
"""

import hashlib
import io
import json
import os

from tf_bdecay.data import crc32c, tfrecords
from tf_bdecay.data.pictures import plain
from tf_bdecay.data.pictures.layouts import tfrecord_file
from tf_bdecay.data.pictures.layouts.names import listed, printable
from tf_bdecay.errors import BadInput, require
from tf_bdecay.storage.files import atomic_write

QUALITY = 95
_SETTINGS = "prepared.json"


def begin(folder, settings, found):
    """Makes the folder, or finds that of the same settings and pictures.

    Args:
        folder: path.
        settings: dict of JSON values.
        found: the pictures, a `Found`.

    Raises:
        BadInput: other files in it, or those of other settings or pictures.
    """
    os.makedirs(folder, exist_ok=True)
    path, classes = os.path.join(folder, _SETTINGS), found.classes
    pictures = {"classes": classes and list(classes), "digest": _digest(found.splits)}
    if os.path.exists(path):
        _check_same(folder, settings, pictures)
    else:
        require(
            not os.listdir(folder),
            f"{printable(folder)} must be empty or new, for nothing there to be mistaken for a "
            "prepared picture.",
        )
        _write(path, json.dumps({**settings, **pictures}, indent=2).encode())
    if classes is not None:
        text = "".join(f"{name}\n" for name in classes)
        _write(os.path.join(folder, "classes.txt"), os.fsencode(text))


def _digest(splits):
    """A hash of labels, and of names, sizes and times of files: a run may go on with no others."""
    digest = hashlib.sha256()
    for split, records in splits.items():
        digest.update(split.encode() + records.labels.tobytes())
        for path in records.files():
            status = os.stat(path)
            digest.update(os.fsencode(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0"))
    return digest.hexdigest()


def _check_same(folder, settings, pictures):
    """Raises `BadInput` unless a folder's settings and pictures are these."""
    with open(os.path.join(folder, _SETTINGS), encoding="utf-8") as file:
        try:
            there = json.load(file)
        except ValueError:
            there = None
    there, name = there if isinstance(there, dict) else {}, printable(folder)
    before = {key: value for key, value in there.items() if key not in pictures}
    require(
        before == settings,
        f"{name} holds pictures prepared in another way: name another folder, or remove it. "
        f"Received: {settings}, and there: {before}",
    )
    names = [value and listed(value) for value in (there.get("classes"), pictures["classes"])]
    require(
        there.get("classes") == pictures["classes"],
        f"{name} was prepared from other pictures: name another folder, or remove it. Received: "
        f"classes {names[1] or 'without names'}, and there: {names[0] or 'without names'}",
    )
    require(
        there.get("digest") == pictures["digest"],
        f"{name} was prepared from other pictures: labels, or names, sizes or times of the files, "
        "are no longer what they were: name another folder, or remove it.",
    )


def shards(folder, split, count, each):
    """Paths of a split's shards, with the range of the pictures of each.

    Args:
        folder: that they go to.
        split: "train", "validation" or "test".
        count: pictures of the split.
        each: pictures of a shard; the last has what is left.
    """
    number = -(-count // each)
    for n in range(number):
        path = os.path.join(folder, f"{split}-{n:05d}-of-{number:05d}")
        yield path, range(n * each, min(n * each + each, count))


def write_shard(path, records, indexes, shorter=None):
    """Writes a shard, unless it is there already.

    Args:
        path: of the shard.
        records: `Records`.
        indexes: of the pictures, in order.
        shorter: pixels of the shorter side, where it is longer; None to leave all as they are.

    Raises:
        OSError: a picture cannot be read, or the shard not written.
        BadInput: a file that is not a picture, named by its place.
    """
    if tfrecord_file.read_index(path):
        return
    framed = []
    for index in indexes:
        content = records.read(index)
        try:
            content = _resized(content, shorter) if shorter else plain.plain(content)
        except BadInput as error:
            raise BadInput(f"{records.where(index)} {error}") from error
        label = int(records.labels[index])
        example = tfrecords.written({"image/class/label": label, "image/encoded": content})
        framed.append(tfrecords.framed(example, crc32c.masked))
    _write(path, b"".join(framed))
    tfrecord_file.write_index(tfrecord_file.walk(path, len(indexes)))


def verify(path, labels):
    """Reads a shard again from the disk.

    Args:
        path: of the shard.
        labels: that its records must have.

    Raises:
        OSError: it cannot be read.
        BadInput: it is not what was written.
    """
    shard, told = tfrecord_file.walk(path, len(labels)), tfrecord_file.read_index(path)
    require(
        told == shard and list(shard.labels) == list(labels),
        f"{printable(path)} is not what its index says: remove it and its .index, and prepare it "
        "again.",
    )
    read = tfrecord_file.Examples([shard])
    for index in range(len(read)):
        content = read.read(index)
        try:
            plain.plain(content)
        except BadInput as error:
            raise BadInput(f"{read.where(index)} {error}") from error


def _resized(content, shorter):
    """A picture whose shorter side is at most `shorter` pixels."""
    from PIL import Image

    picture = plain.upright(content)
    short = min(picture.size)
    if short <= shorter:
        return plain.plain(content)
    width, height = (max(shorter, round(side * shorter / short)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _write(path, content):
    atomic_write(path, lambda file: file.write(content))
