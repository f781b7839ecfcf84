"""What every layout gives: the pictures of each split, found by index, and the classes."""

import abc
import dataclasses

import numpy as np


class Records(abc.ABC):
    """The pictures of one split, each read from its place when it is asked for.

    Attributes:
        labels: int64 [n], as stored; those of class folders count the classes in order.
    """

    def __init__(self, labels):
        self.labels = np.asarray(labels, np.int64)

    def __len__(self):
        return len(self.labels)

    @abc.abstractmethod
    def read(self, index):
        """The bytes of a picture's file, as stored: JPEG, PNG or another that Pillow reads.

        Safe to call from many threads at once; a file is open no longer than a call needs, or one
        for the whole of the split.

        Args:
            index: from 0 to n - 1.

        Raises:
            OSError: the file is gone or cannot be read.
            BadInput: the record is damaged: file and record named.
        """

    @abc.abstractmethod
    def files(self):
        """Paths of the files that the pictures are in, each once, in a fixed order."""

    @abc.abstractmethod
    def where(self, index):
        """A picture's place for a person: its file, and its shard and record where it has one."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found at a path.

    Attributes:
        layout: in words, for the report: "a folder of class folders".
        classes: names in the order of their labels; None where only numbers are stored.
        splits: dict of "train", "validation", "test", those that are there, to `Records`.
        label_words: dict of split to where its labels are from, where that is worth saying.
    """

    layout: str
    classes: tuple | None
    splits: dict
    label_words: dict = dataclasses.field(default_factory=dict)
