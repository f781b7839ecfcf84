"""A data set of pictures in files: its splits and classes, and the reading of one picture."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os

import numpy as np

from tf_bdecay.data.image_set import SPLITS, split_of
from tf_bdecay.data.pictures import plain
from tf_bdecay.data.pictures.records import Records
from tf_bdecay.errors import BadInput

# Of ImageNet's training pictures, as everybody has them; pixels scaled to [0, 1].
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AREA = (0.08, 1.0)  # shares of a picture's area that a random crop has
_DECODERS = ("JPEG", "PNG", "image")  # one of which is in TensorFlow's words


@dataclasses.dataclass(frozen=True, eq=False)
class PictureSplit:
    """Some of the pictures of a layout's split, with labels from 0.

    Attributes:
        records: the layout's `Records`.
        chosen: int64 [n], which of them, in order.
        labels: int64 [n], a class each.
    """

    records: Records
    chosen: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.chosen)

    def content(self, index):
        """The bytes of a picture, as `tf_bdecay.data.pictures.crops` decodes them.

        Raises:
            BadInput: it cannot be read, or is no picture: file and record named.
        """
        return self._read(int(self.chosen[index]), plain.plain)

    def fault(self, index):
        """What is wrong with a picture, decoded whole, its place named; None for nothing."""
        try:
            self._read(int(self.chosen[index]), plain.check)
        except BadInput as error:
            return str(error)
        return None

    def faults(self):
        """`fault` of every picture, several at a time: a list."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return list(pool.map(self.fault, range(len(self))))

    def _read(self, record, look):
        """`look` at a picture's bytes; every error names its place."""
        try:
            content = self.records.read(record)  # whose own sentences name it
        except OSError as error:
            if error.strerror is None:
                raise BadInput(str(error)) from error
            raise BadInput(
                f"{self.records.where(record)} cannot be read: {error.strerror}."
            ) from error
        try:
            return look(content)
        except BadInput as error:
            raise BadInput(f"{self.records.where(record)} {error}") from error

    def digest(self):
        """A hash of labels and places: another order or folder has a different one."""
        found = hashlib.sha256(self.labels.tobytes() + self.chosen.tobytes())
        for record in self.chosen[:: max(1, len(self) // 64)]:
            name = os.path.basename(self.records.where(int(record)))  # the folder may have moved
            found.update(name.encode(errors="surrogateescape"))
        return found.hexdigest()[:16]

    def part(self, chosen):
        """The split of some of its pictures; `chosen` are indices, in the order wanted."""
        return PictureSplit(self.records, self.chosen[chosen], self.labels[chosen])


@dataclasses.dataclass(frozen=True, eq=False)
class PictureSet:
    """A data set for classification, whose pictures stay in their files until a batch needs them.

    Attributes:
        name: for messages and reports.
        layout: how the pictures lie, in words.
        classes: names, in the order of their labels.
        size: pixels a side of what a network sees.
        shorter: pixels of a picture's shorter side before evaluation cuts its middle out.
        train, test: a `PictureSplit` each.
        validation: a `PictureSplit`, or None.
        least_area: share of a picture's area that a random crop has at least.
        flip: whether half of the training pictures are mirrored left to right.
        antialias: whether shrinking averages all pixels, or the four nearest.
        label_words: dict of a split of the layout to where its labels are from, where that is
            worth saying.
        skipped: (split, sentence) of the pictures left out.
        failures: sentences about pictures that a stream could not read, filled as that happens.
        mean, deviation: by channel, of pixels scaled to [0, 1].
    """

    name: str
    layout: str
    classes: tuple
    size: int
    shorter: int
    train: PictureSplit
    test: PictureSplit
    validation: PictureSplit | None = None
    least_area: float = AREA[0]
    flip: bool = True
    antialias: bool = True
    label_words: dict = dataclasses.field(default_factory=dict)
    skipped: tuple = ()
    failures: list = dataclasses.field(default_factory=list)
    mean: tuple = MEAN
    deviation: tuple = DEVIATION

    @property
    def num_classes(self):
        """How many classes there are."""
        return len(self.classes)

    @property
    def image_shape(self):
        """(height, width, channels) of what a network sees."""
        return (self.size, self.size, 3)

    def split(self, name):
        """The split of a name.

        Raises:
            BadInput: no such name, or no validation split.
        """
        lacking = f"{self.name} has no validation split, and none was set aside."
        return split_of(self, name, lacking)

    def words(self):
        """How the pictures lie, where labels are from, and what was left out, for a report."""
        parts = [self.layout]
        parts += [f"labels of {split}: {words}" for split, words in self.label_words.items()]
        if self.skipped:
            count, first = len(self.skipped), self.skipped[0][1].rstrip(".")
            parts.append(f"{count} that cannot be read are left out, the first: {first}")
        return "; ".join(parts)

    def record(self):
        """What pictures these are: `pictures_record.lasting` compares runs and workers by it.

        Returns:
            Dict of what it is, in words, to a JSON value.
        """
        splits = {name: split for name in SPLITS if (split := getattr(self, name)) is not None}
        return {
            "layout": self.layout,
            "classes": list(self.classes),
            **{f"number of {name} pictures": len(split) for name, split in splits.items()},
            **{f"hash of {name} labels and names": part.digest() for name, part in splits.items()},
            "skipped pictures": [list(one) for one in self.skipped],
        }


@contextlib.contextmanager
def named_failures(picture_set):
    """A context in which TensorFlow's error over a picture becomes our sentence.

    Args:
        picture_set: the set whose streams are read; any other object has none.

    Raises:
        BadInput: a picture could not be read, at whatever error the stream ended with.
    """
    if not isinstance(picture_set, PictureSet):
        yield
        return
    before = len(picture_set.failures)
    try:
        yield
    except Exception as error:
        found = next(iter(picture_set.failures[before:]), None)
        if found is None and _is_of_a_decoder(error):
            found = _first_damaged(picture_set)  # what TensorFlow alone stumbled over has no name
        if found is None:
            raise
        raise BadInput(f"A picture cannot be used: {found}") from error


def _is_of_a_decoder(error):
    """Whether an error may be TensorFlow's over a picture: all are decoded then to find it."""
    of_tensorflow = type(error).__module__.startswith("tensorflow.")
    return of_tensorflow and any(word in str(error) for word in _DECODERS)


def _first_damaged(picture_set):
    """A sentence about the first picture that cannot be decoded; None where all can."""
    for name in SPLITS:
        split = getattr(picture_set, name, None)
        found = next((fault for fault in split.faults() if fault), None) if split else None
        if found:
            return found
    return None
