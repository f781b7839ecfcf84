"""Writes a known set as JPEGs of varied sizes in class folders, to try training on pictures.

    python tools/make_pictures.py --out=DIR                    # scikit-learn's digits, 1,797 JPEGs
    python tools/make_pictures.py --data=cifar10 --data_dir=SETS --images=5000 --out=DIR

Pillow resizes each image to a random shorter side of 48 to 160 pixels and a random aspect ratio of
3/4 to 4/3. The files are DIR/train/CLASS/NUMBER.jpg and DIR/test/CLASS/NUMBER.jpg.
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from absl import flags

from tf_bdecay import data
from tf_bdecay.errors import require
from tf_bdecay.storage.paths import local
from tools import commands

SHORTER, ASPECT, QUALITY = (48, 160), 4 / 3, 90

_DATA = flags.DEFINE_string("data", "digits", "Data set: digits, cifar10 or cifar100.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with the prepared CIFAR sets.")
_IMAGES = flags.DEFINE_integer("images", None, "Number of training images; all by default.")
_OUT = flags.DEFINE_string("out", None, "Folder to write, which must not exist yet.")


def main(rest):
    """Writes the pictures and prints how many."""
    require(not rest[1:], f"make_pictures.py takes flags only. Received: {' '.join(rest[1:])}")
    require(_OUT.value, "Name a folder that does not exist yet: --out=DIR.")
    out = pathlib.Path(local("--out", _OUT.value))
    require(not out.exists(), f"--out must be a folder that does not exist yet. Received: {out}")
    image_set = data.load(_DATA.value, data_dir=_DATA_DIR.value, images=_IMAGES.value)
    for name in ("train", "test"):
        write(image_set.split(name), out / name, seed=name == "test")
    train, test = len(image_set.train), len(image_set.test)
    print(f"{train:,} pictures to train on and {test:,} to test on: {out}")
    return 0


def write(split, folder, seed=0):
    """Writes the images of a split as JPEGs.

    Args:
        split: a `tf_bdecay.data.Split`.
        folder: `pathlib.Path` in which the class folders are made.
        seed: seed of the random sizes.
    """
    from PIL import Image

    draw = np.random.default_rng(seed)
    digits = len(str(split.labels.max()))  # names sort in the order of the labels
    for index, (pixels, label) in enumerate(zip(split.images, split.labels, strict=True)):
        shorter, aspect = draw.integers(*SHORTER), ASPECT ** draw.uniform(-1, 1)
        height, width = shorter * max(1, 1 / aspect), shorter * max(1, aspect)
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        path = folder / f"{label:0{digits}}" / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.resize((round(width), round(height)), Image.Resampling.BICUBIC).save(
            path, quality=QUALITY
        )


if __name__ == "__main__":
    commands.run("make_pictures.py", main)
