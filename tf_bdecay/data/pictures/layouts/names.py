"""What names mean in every layout: of pictures, hidden things, splits and classes."""

import os
import re

from tf_bdecay.errors import BadInput, require, shown

# Of what Pillow reads, the kinds that pictures of a data set come in; not its films and documents.
PICTURES = frozenset(
    f".{kind}"
    for kind in (
        *("apng", "avif", "bmp", "dib", "gif", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg", "pbm"),
        *("pcx", "pgm", "png", "pnm", "ppm", "qoi", "tga", "tif", "tiff", "webp"),
    )
)
_LEFT_BEHIND = {"__macosx", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin"}
_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
_FEW = 5


def is_hidden(name):
    """Whether a file or folder is an operating system's or a tool's own: `.DS_Store`, `__MACOSX`.

    Args:
        name: without the folders that it is in.
    """
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def entries_of(folder):
    """What `os.scandir` finds in a folder that is not hidden: a list."""
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not is_hidden(entry.name)]


def is_picture(name):
    """Whether a name ends as pictures' do, in any case: "a.JPEG"; hidden files are not."""
    return os.path.splitext(name)[1].lower() in PICTURES and not is_hidden(name)


def split_named(folder):
    """The split that a folder's name stands for: "validation" for "val"; None for none."""
    return _SPLITS.get(folder.lower())


def split_of_file(name):
    """The split that the first word of a file's name stands for, or None.

    Args:
        name: "val-00000-of-00003.parquet" and "val.tar" are of "validation", "valley.tar" is not.
    """
    return split_named(re.match(r"[a-z]*", name.lower())[0])


def printable(path):
    r"""A path for a person: bytes that are no UTF-8 are shown as `\xe9`, so that it can be printed.

    Args:
        path: str as Python's os functions give it, or bytes.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def listed(names):
    """The first few names and how many there are: "'a', 'b', 'c', 'd', 'e' and 3 more"."""
    names = list(names)
    more = f" and {len(names) - _FEW:,} more" if len(names) > _FEW else ""
    return ", ".join(shown(name) for name in names[:_FEW]) + more


def check_classes(path, splits):
    """Raises `BadInput` unless every split has pictures of the same classes.

    Args:
        path: where they were found, for the message.
        splits: dict of a split's name to the names of its classes; without "train", or alone, there
            is nothing to compare.
    """
    known = set(splits.get("train", ()))
    for split, classes in splits.items() if known else ():
        unknown, missing = sorted(set(classes) - known), sorted(known - set(classes))
        what = [f"{listed(unknown)} in {split} alone"] if unknown else []
        what += [f"{listed(missing)} in train alone"] if missing else []
        if what:
            raise BadInput(
                f"Every split needs pictures of the same classes. Received in {printable(path)}: "
                f"{'; '.join(what)}"
            )


def check_all_shards(path, parts):
    """Raises `BadInput` unless the files of a split are one set of shards, and all are there.

    Args:
        path: where they were found, for the message.
        parts: of each name that counts shards, "train-00001-of-00008", its words: ("train",
            "00001", "00008").
    """
    sets = {}
    for name, number, count in parts:
        sets.setdefault((name, count), set()).add(int(number))
    require(
        len(sets) <= 1,
        f"A split must be one set of shards. Received in {printable(path)}: "
        f"{listed(f'{name}-*-of-{count}' for name, count in sets)}",
    )
    for (name, count), numbers in sets.items():
        missing = sorted(set(range(int(count))) - numbers)
        require(
            not missing,
            f"All {int(count):,} shards of {name} must be in {printable(path)}. Missing: "
            f"{listed(missing)}. To learn from those that are there, rename them to "
            f"-of-{len(numbers):05d}, numbered from 0.",
        )
