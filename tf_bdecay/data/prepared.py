"""CIFAR as tensorflow-datasets prepared it, read without TensorFlow.

A set is one file a split of TFRecords: length (8 bytes, little-endian), its checksum (4), so many
bytes, their checksum (4). A record is a `tf.train.Example`, a protocol buffer: features by name, of
which the image is a PNG. Checksums are not looked at: a PNG has its own.
"""

import io
import os
import pathlib
import struct

import numpy as np

from tf_bdecay.data.image_set import Split
from tf_bdecay.errors import BadInput

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types


def read(name, data_dir=None, download=False):
    """The training and test images, in the order in which TensorFlow reads them.

    Args:
        name: "cifar10" or "cifar100".
        data_dir: folder of prepared sets; None for tensorflow-datasets' own.
        download: must be False: a set is downloaded and prepared with TensorFlow.

    Returns:
        (train, test): a `Split` each.

    Raises:
        BadInput: a set that is not there or cannot be read, or a download asked for.
    """
    folder = os.path.expanduser(
        data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    )
    versions = sorted(pathlib.Path(folder, name).glob("*.*.*/dataset_info.json"), key=_version)
    if download or not versions:
        raise BadInput(
            f"{name} is not prepared in {folder}, and is downloaded with TensorFlow alone: name "
            "the folder that has it with --data_dir, or prepare it where TensorFlow is, with "
            f"`python main.py --config=configs/{name}_resnet18.py --data_dir=DIR --download "
            "--dry_run`, and copy that folder."
        )
    return _split(name, versions[-1].parent, "train"), _split(name, versions[-1].parent, "test")


def _version(path):
    return [int(part) if part.isdigit() else -1 for part in path.parent.name.split(".")]


def _split(name, folder, split):
    from PIL import Image

    images, labels = [], []
    try:
        (path,) = folder.glob(f"{name}-{split}.tfrecord-00000-of-00001")
        for record in _records(path.read_bytes()):
            example = _features(record)
            with Image.open(io.BytesIO(example["image"])) as image:
                images.append(np.asarray(image))
            labels.append(example["label"])
        return Split(np.stack(images), np.array(labels, np.int64))
    except (OSError, ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise BadInput(
            f"The {split} split of {name} in {folder} cannot be read: put the folder back, or "
            f"prepare it again. Received: {type(error).__name__}: {error}"
        ) from error


def _records(content):
    """The records of a file's content."""
    place = 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        record = content[place + 12 : place + 12 + length]
        if len(record) < length:
            raise ValueError("the last record is cut off")
        yield record
        place += length + 16


def _features(example):
    """Dict of a `tf.train.Example`'s feature to its first value: bytes, or an int."""
    ((_, features),) = _fields(example)
    found = {}
    for _, entry in _fields(features):
        name, feature = (value for _, value in _fields(entry))
        ((kind, values),) = _fields(feature)  # a list of bytes (1), of floats (2), of ints (3)
        if kind == 1:
            found[name.decode()] = next(value for _, value in _fields(values))
        elif kind == 3:
            (value,) = (value for _, value in _fields(values))
            found[name.decode()] = _varint(value, 0)[0] if isinstance(value, bytes) else value
    return found


def _fields(message):
    """(number, value) of a protocol buffer's fields: bytes, or an int."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
        else:
            length = {_EIGHT: 8, _FOUR: 4}.get(kind)
            if kind == _BYTES:
                length, place = _varint(message, place)
            elif length is None:
                raise ValueError(f"no protocol buffer: wire type {kind}")
            value, place = message[place : place + length], place + length
        yield tag >> 3, value


def _varint(message, place):
    """An int in groups of 7 bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
