"""Makes pictures of varied sizes for the tests, and puts them into class folders."""

import io
import os

import numpy as np
from PIL import Image


def picture(seed, kind="PNG"):
    """The bytes of a picture whose size and pixels a seed draws."""
    return encoded(pixels(seed), kind)


def pixels(seed, shape=None):
    """uint8 [height, width, 3], smooth enough for JPEG."""
    draw = np.random.default_rng(seed)
    height, width = shape or draw.integers(8, 40, 2)
    coarse = Image.fromarray(draw.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((int(width), int(height)), Image.Resampling.BILINEAR))


def encoded(array, kind="PNG"):
    """A file's bytes of an array as Pillow writes it."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


def decoded(content):
    """The array that a file's bytes hold."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def split_of(count, classes=("ant", "bee"), seed=0):
    """Dict of class to {name: bytes}: `count` PNGs each."""
    return {
        name: {f"{name}_{i:02d}.png": picture([seed, label, i]) for i in range(count)}
        for label, name in enumerate(classes)
    }


def write(path, tree):
    """Writes a tree of folders: a dict is a folder, bytes or str a file.

    Returns:
        `path` as a string.
    """
    if isinstance(tree, dict):
        os.makedirs(path, exist_ok=True)
        for name, below in tree.items():
            write(os.path.join(path, name), below)
    else:
        with open(path, "wb") as file:
            file.write(tree.encode() if isinstance(tree, str) else tree)
    return os.fspath(path)


def contents(records):
    """All the bytes of a split with their labels, in order."""
    return [(records.read(i), int(records.labels[i])) for i in range(len(records))]
