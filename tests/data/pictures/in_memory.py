"""Small pictures for the tests: JPEGs of varied sizes, a set in memory, class folders."""

import io

import numpy as np
from PIL import Image

from tf_bdecay.data.pictures.picture_set import PictureSet, PictureSplit
from tf_bdecay.data.pictures.records import Records


def jpeg(seed, quality=95):
    """A smooth picture by chance, as a JPEG."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    size = tuple(int(side) for side in draw.integers(40, 90, 2))
    file = io.BytesIO()
    coarse.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
    return file.getvalue()


def write_folders(folder, classes, count):
    """Writes `count` JPEGs in class folders, in turn: a path, "a/0.jpg", says its number."""
    for number in range(count):
        path = folder / classes[number % len(classes)] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    return folder


class InMemory(Records):
    """Records that are a list of bytes."""

    def __init__(self, contents, labels):
        super().__init__(labels)
        self.contents = contents

    def read(self, index):
        return self.contents[index]

    def files(self):
        return []

    def where(self, index):
        return f"memory/{index}"


def split_of(count, first=0):
    """A split whose labels number its pictures, so that a batch tells which it has."""
    contents = [jpeg(seed) for seed in range(first, first + count)]
    labels = np.arange(first, first + count)
    return PictureSplit(InMemory(contents, labels), np.arange(count), labels)


def picture_set_of(train=11, test=7, size=24, shorter=28, **more):
    """A `PictureSet` of JPEGs in memory."""
    return PictureSet(
        name="memory",
        layout="a list",
        classes=tuple(str(label) for label in range(train + test)),
        size=size,
        shorter=shorter,
        train=split_of(train),
        test=split_of(test, train),
        **more,
    )
