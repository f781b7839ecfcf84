"""Pictures as arrays in NumPy's `.npz`: x and y; or x_train, y_train, x_test, y_test and the like.

As Keras keeps MNIST (x_train, y_train), and MedMNIST its sets (train_images, train_labels).
"""

import io
import os
import zipfile
import zlib

import numpy as np

from tf_bdecay.data.image_set import SPLITS
from tf_bdecay.data.pictures.layouts.labels import labels_of_splits
from tf_bdecay.data.pictures.layouts.names import listed, printable, split_named
from tf_bdecay.data.pictures.records import Found, Records
from tf_bdecay.errors import BadInput, first_line, require
from tf_bdecay.frameworks import extras

LOOKED_FOR = "an .npz file of arrays x and y, or x_train, y_train, x_test, y_test"
_DAMAGES = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError)
_PICTURES, _LABELS = ("x", "images", "data"), ("y", "labels", "targets")


class Arrays(Records):
    """Pictures of an array in memory, each given as a PNG of the same pixels."""

    def __init__(self, images, labels, path, name):
        """Takes an array of pictures.

        Args:
            images: uint8 [n, height, width] or [n, height, width, 1, 3 or 4].
            labels: int64 [n].
            path: of the file that it was in.
            name: of the array in that file.
        """
        super().__init__(labels)
        self._images = images[..., 0] if images.shape[-1] == 1 and images.ndim == 4 else images
        self._place, self._array = path, name

    def read(self, index):
        extras.check("Reading pictures", "PIL")
        from PIL import Image

        file = io.BytesIO()
        # Without loss at any level; the lowest is the quickest.
        Image.fromarray(self._images[index]).save(file, "PNG", compress_level=1)
        return file.getvalue()

    def files(self):
        return [self._place]

    def where(self, index):
        return f"{printable(self._place)}: {self._array}[{index}]"


def recognise(path):
    """The arrays of a file that ends in `.npz` as a `Found`; None for any other."""
    if not (os.path.isfile(path) and path.lower().endswith(".npz")):
        return None
    arrays = _arrays(path)
    pairs = _pairs(path, arrays)
    for split, (pictures, labels) in pairs.items():
        _check_pictures(path, pictures, arrays[pictures])
        arrays[labels] = _checked_labels(path, labels, arrays[labels], arrays[pictures])
        require(len(arrays[pictures]), f"The {split} split of {printable(path)} has no pictures.")
    stored = {split: arrays[labels] for split, (_, labels) in pairs.items()}
    labels, classes = labels_of_splits(path, stored)
    splits = {
        split: Arrays(arrays[pictures], labels[split], path, pictures)
        for split, (pictures, _) in pairs.items()
    }
    others = sorted(arrays.keys() - {name for pair in pairs.values() for name in pair})
    note = f"; not read: {listed(others)}" if others else ""
    return Found(f"an .npz file of arrays{note}", classes, splits)


def _arrays(path):
    """Dict of every array by name."""
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("no zip archive, or cut short")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except MemoryError as error:
        raise BadInput(
            f"{printable(path)} has more pixels than there is memory for: keep its pictures as "
            "files in class folders instead."
        ) from error
    except _DAMAGES as error:
        raise BadInput(
            f"{printable(path)} cannot be read as arrays x and y that np.savez wrote: it is "
            f"damaged, or none. Received: {type(error).__name__}: {first_line(error)}"
        ) from error


def _pairs(path, arrays):
    """Dict of split to the names of its pictures and its labels."""
    found = {split: {} for split in SPLITS}
    for name in sorted(arrays):
        words = name.lower().split("_")
        split = next(filter(None, map(split_named, words)), "train")
        kind = [word for word in words if not split_named(word)]
        if len(words) - len(kind) <= 1 and len(kind) == 1 and kind[0] in _PICTURES + _LABELS:
            role = "pictures" if kind[0] in _PICTURES else "labels"
            before = found[split].setdefault(role, name)
            require(
                before == name,
                f"{printable(path)} must have one array of {role} of the {split} split. "
                f"Received: {listed([before, name])}",
            )
    pairs = {split: names for split, names in found.items() if names}
    half = [split for split, names in pairs.items() if len(names) < 2]
    require(
        "train" in pairs and not half,
        f"{printable(path)} must have pictures and labels of each split: x and y, or x_train and "
        f"y_train, x_test and y_test. Received: {listed(arrays)}",
    )
    return {split: (names["pictures"], names["labels"]) for split, names in pairs.items()}


def _check_pictures(path, name, images):
    right = images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in (1, 3, 4))
    require(
        images.dtype == np.uint8 and right and 0 not in images.shape[1:3],
        f"Pictures in {printable(path)} must be uint8 [n, height, width], or with a last axis of "
        f"1, 3 or 4 channels, of values 0 to 255. Received in {name}: {images.dtype} "
        f"{list(images.shape)}",
    )


def _checked_labels(path, name, labels, images):
    """Labels [n] of integers or strings."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "backslashreplace")
    require(
        labels.dtype.kind in "iuU" and labels.shape == images.shape[:1],
        f"Labels of {len(images):,} pictures in {printable(path)} must be integers or strings "
        f"[{len(images)}]. Received in {name}: {labels.dtype} {list(labels.shape)}",
    )
    return labels
