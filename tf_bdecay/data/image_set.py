"""A data set in memory: what it holds, what must be true of it, and how a part is set aside."""

import dataclasses
import hashlib

import numpy as np
from sklearn.model_selection import train_test_split

from tf_bdecay.errors import BadInput, check_count, check_flag, require, unknown

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Attributes:
        images: uint8 [n, height, width, channels], pixels from 0 (black) to 255.
        labels: int64 [n], a class each.

    Raises:
        BadInput: on construction, for arrays of another type or shape, or none at all.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        images, labels = self.images, self.labels
        for name, value in (("images", images), ("labels", labels)):
            require(
                isinstance(value, np.ndarray),
                f"`{name}` of a split must be a NumPy array. Received: {type(value).__name__}",
            )
        require(
            images.dtype == np.uint8 and images.ndim == 4,
            "Images must be uint8 [n, height, width, channels]. Received: "
            f"{images.dtype} {list(images.shape)}",
        )
        require(
            labels.dtype == np.int64 and labels.shape == images.shape[:1],
            f"Labels of {len(images)} images must be int64 [{len(images)}]. Received: "
            f"{labels.dtype} {list(labels.shape)}",
        )
        require(images.size > 0, f"A split needs images. Received: shape {list(images.shape)}")

    def __len__(self):
        return len(self.images)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How training images are varied.

    Attributes:
        padding: pixels of black on each side, from which a crop of the image's size is taken: the
            image is shifted by at most so many pixels each way.
        flip: whether half of the images are mirrored left to right.

    Raises:
        BadInput: on construction, for a padding that is no whole number >= 0, or a flip that is not
            True or False.
    """

    padding: int
    flip: bool

    def __post_init__(self):
        check_count("padding", self.padding, least=0)
        check_flag("flip", self.flip)


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
    """A data set for classification.

    Attributes:
        name: for messages and reports.
        num_classes: labels are 0, ..., num_classes - 1.
        train, test: a `Split` each.
        mean, deviation: by channel, of pixels scaled to [0, 1]; what standardising subtracts and
            divides by.
        augmentation: of training images.
        validation: a `Split` set aside from training, or None.
        classes: names of the classes, by label, or None.

    Raises:
        BadInput: on construction, for a label without a class, splits of unequal shape, or a
            standardisation that does not fit the channels.
    """

    name: str
    num_classes: int
    train: Split
    test: Split
    mean: tuple
    deviation: tuple
    augmentation: Augmentation
    validation: Split | None = None
    classes: tuple | None = None

    def __post_init__(self):
        channels = self.image_shape[-1]
        require(
            len(self.mean) == len(self.deviation) == channels and min(self.deviation) > 0,
            f"Standardising {self.name} needs a mean and a deviation > 0 for each of its "
            f"{channels} channels. Received: mean={self.mean}, deviation={self.deviation}",
        )
        for split_name in SPLITS:
            split = getattr(self, split_name)
            if split is not None:
                self._check(split_name, split)

    def _check(self, split_name, split):
        shape, expected = split.images.shape[1:], self.image_shape
        require(
            shape == expected,
            f"All images of {self.name} must have the shape {list(expected)} of its training "
            f"images. Received in {split_name}: {list(shape)}",
        )
        outside = (split.labels < 0) | (split.labels >= self.num_classes)
        if outside.any():
            first = int(outside.argmax())
            raise BadInput(
                f"Labels of {self.name} must be in 0, ..., {self.num_classes - 1}. Received in "
                f"{split_name}: {split.labels[first]} at index {first}"
            )

    @property
    def image_shape(self):
        """(height, width, channels)."""
        return self.train.images.shape[1:]

    def record(self):
        """What all workers of a run must have in common.

        Returns:
            Dict of what it is, in words, to a JSON value.
        """
        found = {}
        for name in SPLITS:
            split = getattr(self, name)
            if split is None:
                continue
            found[f"number of {name} images"] = len(split)
            # Labels tell another set or order; all pixels would take seconds to hash.
            digest = hashlib.sha256(split.labels.tobytes() + split.images[:64].tobytes())
            found[f"hash of the {name} data"] = digest.hexdigest()[:16]
        return {**found, "number of classes": self.num_classes}

    def split(self, name):
        """The split of a name.

        Raises:
            BadInput: no such name, or no validation split.
        """
        if name not in SPLITS:
            raise unknown("split", name, SPLITS)
        found = getattr(self, name)
        require(
            found is not None,
            f"{self.name} was loaded without a validation split: load it with validation=0.1 for a "
            "tenth of the training images.",
        )
        return found


def set_aside(split, fraction, seed):
    """Divides a split in two, class by class.

    Args:
        split: a `Split`.
        fraction: of the images, in (0, 1), that the second part gets, rounded to a whole number;
            of each class it gets the same fraction to within one image.
        seed: of the choice.

    Returns:
        (rest, part): two `Split`s, each in the order of `split`.

    Raises:
        BadInput: a part that is too small to hold an image of each class.
    """
    classes = len(np.unique(split.labels))
    size = round(fraction * len(split))
    require(
        classes <= size <= len(split) - classes,
        f"A fraction of {fraction} of {len(split)} images cannot be set aside: both parts need "
        f"images of all {classes} classes.",
    )
    rest, part = train_test_split(
        np.arange(len(split)), test_size=size, random_state=seed, stratify=split.labels
    )
    return tuple(
        Split(split.images[chosen], split.labels[chosen])
        for chosen in (np.sort(rest), np.sort(part))
    )


def first_of_permutation(split, count):
    """The first images of a split in a fixed random order.

    Args:
        split: a `Split`.
        count: of images; None for the split as it is.

    Returns:
        A `Split`. Fewer are always among more.

    Raises:
        BadInput: more than there are.
    """
    if count is None:
        return split
    check_count("images", count)
    require(
        count <= len(split),
        f"`images` must be at most the {len(split)} training images there are. Received: "
        f"images={count}",
    )
    chosen = np.random.default_rng(0).permutation(len(split))[:count]
    return Split(split.images[chosen], split.labels[chosen])


def shrink(split, factor):
    """A split of smaller images, each pixel the rounded mean of a square of `factor` pixels a side.

    Args:
        split: a `Split`.
        factor: divides the images' sides; 1 for the split as it is.

    Returns:
        A `Split`.

    Raises:
        BadInput: a factor that does not divide the sides.
    """
    check_count("downsample", factor)
    if factor == 1:
        return split
    count, height, width, channels = split.images.shape
    require(
        height % factor == 0 and width % factor == 0,
        f"`downsample` must divide the images' sides, {height}x{width}. Received: "
        f"downsample={factor}",
    )
    squares = split.images.reshape(
        count, height // factor, factor, width // factor, factor, channels
    )
    return Split(np.rint(squares.mean((2, 4))).astype(np.uint8), split.labels)


def channel_statistics(images):
    """Mean and deviation by channel of pixels scaled to [0, 1].

    Args:
        images: uint8 [n, height, width, channels].

    Returns:
        (mean, deviation): a tuple of `channels` floats each.
    """
    pixels = images.astype(np.float64) / 255
    axes = (0, 1, 2)
    return tuple(pixels.mean(axes).tolist()), tuple(pixels.std(axes).tolist())
