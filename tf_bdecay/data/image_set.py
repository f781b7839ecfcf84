"""A data set in memory: what it holds, what must be true of it, and how a part is set aside."""

import dataclasses
import hashlib

import numpy as np

from tf_bdecay.errors import BadInput, check_count, check_flag, require, unknown
from tf_bdecay.frameworks import extras

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
        padding: black pixels added on each side before a crop of the image's size is taken: the
            image is shifted by at most this many pixels each way.
        flip: whether half of the images are mirrored left to right.

    Raises:
        BadInput: on construction, for a padding that is not a whole number >= 0, or a flip that is
            not True or False.
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
            Dict of a name in words to a JSON value.
        """
        found = {}
        for name in SPLITS:
            split = getattr(self, name)
            if split is None:
                continue
            found[f"number of {name} images"] = len(split)
            # The labels give away another set or order; all pixels would take seconds to hash.
            digest = hashlib.sha256(split.labels.tobytes() + split.images[:64].tobytes())
            found[f"hash of the {name} data"] = digest.hexdigest()[:16]
        return {**found, "number of classes": self.num_classes}

    def split(self, name):
        """The split of a name.

        Raises:
            BadInput: no such name, or no validation split.
        """
        lacking = "load it with validation=0.1 for a tenth of the training images."
        return split_of(self, name, f"{self.name} was loaded without a validation split: {lacking}")


def split_of(images, name, lacking):
    """The split of a set by its name; `lacking` is the sentence for one that is None."""
    if name not in SPLITS:
        raise unknown("split", name, SPLITS)
    found = getattr(images, name)
    require(found is not None, lacking)
    return found


def set_aside(split, fraction, seed, name="fraction"):
    """Divides a split in two, class by class.

    Args:
        split: a `Split`.
        fraction: of the images, in (0, 1), that the second part gets, rounded to a whole number; it
            gets the same fraction of each class to within one image.
        seed: of the choice.
        name: what the caller calls the fraction, for the message.

    Returns:
        (rest, part): two `Split`s, each in the order of `split`.

    Raises:
        BadInput: a part that is too small to hold an image of each class.
    """
    what = f"`{name}`={fraction} of the {len(split)} images"
    parts = stratified(split.labels, fraction, seed, what, "images")
    return tuple(Split(split.images[chosen], split.labels[chosen]) for chosen in parts)


def stratified(labels, fraction, seed, what, of):
    """Indices of two parts; the second has the same fraction of each class, to within one.

    Args:
        labels: int64 [n].
        fraction, seed: as for `set_aside`.
        what: what is set aside, for the message.
        of: what the labels belong to, for the message.

    Returns:
        (rest, part): int64 each, in order.

    Raises:
        BadInput: a part is too small to have every class, or a class has one member.
    """
    classes, counts = np.unique(labels, return_counts=True)
    size = round(fraction * len(labels))
    require(
        counts.min() > 1 and len(classes) <= size <= len(labels) - len(classes),
        f"{what} cannot be set aside: both parts need {of} of all {len(classes)} classes.",
    )
    extras.check("Setting images aside", "sklearn")
    from sklearn.model_selection import train_test_split

    parts = train_test_split(
        np.arange(len(labels)), test_size=size, random_state=seed, stratify=labels
    )
    return tuple(map(np.sort, parts))


def first_of_permutation(split, count):
    """The first images of a split in a fixed random order.

    Args:
        split: a `Split`.
        count: of images; None for the split as it is.

    Returns:
        A `Split`; a larger `count` gives one that contains it.

    Raises:
        BadInput: `count` exceeds the number of images.
    """
    if count is None:
        return split
    chosen = first_indices(len(split), count, "images there are")
    return Split(split.images[chosen], split.labels[chosen])


def first_indices(total, count, of):
    """The first `count` of a fixed permutation of 0, ..., total - 1.

    Args:
        total, count: ints.
        of: what the indices stand for, for the message.

    Raises:
        BadInput: `count` exceeds `total`.
    """
    check_count("images", count)
    require(
        count <= total,
        f"`images` must be at most the {total} training {of}. Received: images={count}",
    )
    return fixed_order(total)[:count]


def fixed_order(count):
    """The permutation of 0, ..., count - 1 whose first entries are taken if not all are used."""
    return np.random.default_rng(0).permutation(count)


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
