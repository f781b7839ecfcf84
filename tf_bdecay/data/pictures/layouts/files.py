"""Pictures that are a file each, listed once and opened when they are read."""

import dataclasses
import os

import numpy as np

from tf_bdecay.data.pictures.layouts.names import printable
from tf_bdecay.data.pictures.records import Records
from tf_bdecay.data.pictures.spans import Names
from tf_bdecay.errors import BadInput


@dataclasses.dataclass(frozen=True)
class Folder:
    """The pictures that a folder holds itself, by name.

    Attributes:
        path: of the folder.
        relative: its path below the split's folder, with "/"; "" for that one itself.
        names: `Names` of the pictures.
        sizes: int64 [n], bytes of the files.
    """

    path: str
    relative: str
    names: Names
    sizes: np.ndarray

    def listing(self):
        """Names of the pictures as strings."""
        return list(self.names)


def folder_of(path, relative, names, sizes):
    """A `Folder` of pictures in any order.

    Args:
        path, relative: as in `Folder`.
        names: list of str.
        sizes: list of int, bytes of each.
    """
    order = sorted(range(len(names)), key=names.__getitem__)
    return Folder(
        path,
        relative,
        Names(names[i] for i in order),
        np.fromiter((sizes[i] for i in order), np.int64, len(names)),
    )


class Files(Records):
    """Pictures that are a file each; a million of them take some 50 MB."""

    def __init__(self, folders, labels=None):
        """Takes the listing of folders.

        Args:
            folders: a `Folder` each, in order.
            labels: int64 [n]; None where folders are classes, numbered in their order.
        """
        counts = [len(folder.sizes) for folder in folders]
        super().__init__(np.repeat(range(len(folders)), counts) if labels is None else labels)
        self._folders = [folder.path for folder in folders]
        self._ends = np.cumsum(counts)  # of folders, in pictures
        self._sizes = np.concatenate([folder.sizes for folder in folders])
        self._names = Names.joined([folder.names for folder in folders])

    def path(self, index):
        """Path of a picture's file."""
        folder = self._folders[np.searchsorted(self._ends, index, side="right")]
        return os.path.join(folder, self._names[index])

    def files(self):
        return map(self.path, range(len(self)))

    def where(self, index):
        return printable(self.path(index))

    def read(self, index):
        listed_size = int(self._sizes[index])
        try:
            with open(self.path(index), "rb") as file:
                content = file.read(listed_size + 1)  # one byte more tells that it grew
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(
                f"{self.where(index)} is gone since it was listed: pictures must stay as they are "
                "while they are trained on."
            ) from error
        if len(content) != listed_size:
            more = len(content) > listed_size
            raise BadInput(
                f"{self.where(index)} has changed since it was listed: pictures must stay as they "
                f"are while they are trained on. It had {listed_size:,} bytes, and has "
                f"{'more' if more else format(len(content), ',')}."
            )
        return content
