"""Tar archives: which there are at a path, and where in them the members lie.

Nothing is unpacked: headers are read once, and a member is then a span of bytes of its archive.
Compressed archives cannot be read so, and are refused. Links are followed to members of the same
archive; those that lead elsewhere, and names that lead outside of it, are refused.
"""

import dataclasses
import os
import posixpath
import re
import tarfile
from concurrent.futures import ThreadPoolExecutor

from tf_bdecay.data.pictures.layouts.names import (
    entries_of,
    is_hidden,
    is_picture,
    listed,
    printable,
    split_named,
)
from tf_bdecay.data.pictures.spans import read_at
from tf_bdecay.errors import BadInput, first_line, require

_PACKED = re.compile(r"\.(tgz|tbz2?|txz|tzst|tar\.(gz|bz2|xz|zst|lz4|z))$", re.IGNORECASE)
_PACKED_BY = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_BLOCK = 512
_AT_ONCE = 16  # archives whose headers are read side by side: it is the disk that is waited for


@dataclasses.dataclass
class Index:
    """The members of one archive, hidden ones left out.

    Attributes:
        path: of the file that it is, or is in.
        inside: name of the member that it is in that file; "" for the file itself.
        size: of the file, in bytes.
        members: list of (name, offset in the file, length), in the archive's order; links are
            where they lead.
        folders: names of the folders that have members of their own.
        others: names of links to folders and of devices, which are not read.
        lost: the sentence on what cannot be read after the last member; None for a whole archive.
    """

    path: str
    inside: str
    size: int
    members: list = dataclasses.field(default_factory=list)
    folders: list = dataclasses.field(default_factory=list)
    others: list = dataclasses.field(default_factory=list)
    lost: str | None = None

    def where(self, name=""):
        """A member for a person: "train.tar: cats/1.jpg"."""
        return ": ".join(printable(part) for part in (self.path, self.inside, name) if part)


def find(path):
    """The archives at a path.

    Args:
        path: of a file, or of a folder that holds archives itself, or in its train/, val/, test/.

    Returns:
        (splits, notes): dict of split to paths in order of name, under None where no name tells the
        split, and sentences on what was left out; None without an archive, and where the pictures
        lie unpacked beside it.

    Raises:
        BadInput: a compressed archive, or none for training.
    """
    if not os.path.isdir(path):
        require(not _PACKED.search(path), _packed_sentence(path))
        return ({_split_by_name(path): [path]}, []) if _is_tar(path) else None
    entries = sorted(entries_of(path), key=lambda entry: entry.name)
    splits, packed = {}, []
    for entry in entries:
        if split_named(entry.name) and entry.is_dir():
            packed += _collect(splits, split_named(entry.name), entries_of(entry.path))
    if not splits:
        if any(entry.is_dir() and _has_pictures(entry.path, 2) for entry in entries):
            return None
        for entry in entries:
            packed += _collect(splits, _split_by_name(entry.path), [entry])
    if not splits:
        require(not packed, _packed_sentence(packed[0] if packed else ""))
        return None
    notes = []
    if packed:
        notes.append(f"not read, for being compressed: {listed(map(os.path.basename, packed))}")
    if len(splits) > 1 and None in splits:
        unnamed = map(os.path.basename, splits.pop(None))
        notes.append(f"not read, for naming no split: {listed(unnamed)}")
    return {split: sorted(files) for split, files in splits.items()}, notes


def _collect(splits, split, entries):
    """Adds the archives among entries to a split; returns the compressed ones."""
    files = [entry.path for entry in entries if entry.is_file()]
    tars = [file for file in files if _is_tar(file)]
    if tars:
        splits.setdefault(split, []).extend(tars)
    return [file for file in files if _PACKED.search(file)]


def _is_tar(path):
    # ImageNet's third task has dogs alone, which the first has too.
    return path.lower().endswith(".tar") and not path.lower().endswith("_t3.tar")


def _packed_sentence(path):
    return (
        f"{printable(path)} is compressed, and cannot be read at random places: unpack it to a "
        ".tar, as `gunzip` does, or to a folder."
    )


def _has_pictures(folder, depth):
    entries = entries_of(folder)
    return any(is_picture(entry.name) for entry in entries) or (
        depth > 1 and any(e.is_dir() and _has_pictures(e.path, depth - 1) for e in entries)
    )


def _split_by_name(path):
    words = re.findall("[a-z]+", os.path.basename(path).lower())
    return next((split_named(word) for word in words if split_named(word)), None)


def index_all(places):
    """Indexes of many archives.

    Args:
        places: list of arguments of `index`, a tuple each.

    Returns:
        List of `Index`, in the same order.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda place: index(*place), places))


def index(path, inside="", start=0, length=None, most=None):
    """Reads the headers of an archive.

    Args:
        path: of the file.
        inside: name of the member that the archive is, in that file; "" for the file itself.
        start, length: the part of the file that the archive is; all of it.
        most: stop after this many members; None for all.

    Raises:
        OSError: the file cannot be read.
        BadInput: no archive, a compressed one, or names or links that lead outside.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        found = Index(path, inside, size)
        part = _Part(descriptor, start, size - start if length is None else length)
        _read(found, part, most)
        return found
    finally:
        os.close(descriptor)


def _read(found, part, most):
    head = part.read(6)
    part.seek(0)
    require(not head.startswith(tuple(_PACKED_BY)), _packed_sentence(found.where()))
    links, last = [], ""
    try:
        with tarfile.open(fileobj=part, mode="r:") as tar:
            while (most is None or len(found.members) < most) and found.lost is None:
                member = tar.next()
                tar.members.clear()  # it would keep a kilobyte of each
                if member is None:
                    found.lost = _wrong_end(found, part, tar.offset, last)
                    break
                last = _add(found, part, member, links)
    except (tarfile.TarError, ValueError, OverflowError) as error:
        if isinstance(error, BadInput):
            raise
        what = f"after {printable(last)}" if last else "at its beginning"
        found.lost = f"{found.where()} is cut short or damaged {what}: {first_line(error)}."
    if not (found.members or found.folders or found.others or links):
        raise BadInput(
            f"{found.where()} is no tar archive, or an empty one: fetch it again, or remove it."
        )
    _follow(found, links)


def _add(found, part, member, links):
    """Adds a member, unless it is hidden; returns its name."""
    parts = member.name.split("/")
    if member.name.startswith("/") or ".." in parts:
        raise BadInput(
            f"{found.where(member.name)}: a name that leads outside of its archive is not read; "
            "make the archive with names below one folder."
        )
    parts = [part for part in parts if part not in ("", ".")]
    if not parts or any(map(is_hidden, parts)):
        return member.name
    name = "/".join(parts)
    if member.isreg():
        if member.offset_data + member.size > part.length:
            found.lost = (
                f"{found.where(name)} is cut short, and what came after it in the archive is "
                "lost: fetch the archive again."
            )
        elif member.issparse():
            raise BadInput(f"{found.where(name)} is stored as a sparse file: pack it without -S.")
        else:
            found.members.append((name, part.start + member.offset_data, member.size))
    elif member.isdir():
        found.folders.append(name)
    elif member.issym() and is_picture(name):
        links.append((name, posixpath.join(posixpath.dirname(name), member.linkname)))
    elif member.islnk():
        links.append((name, member.linkname))
    else:
        found.others.append(name)
    return name


def _wrong_end(found, part, offset, last):
    """What is wrong where no member follows: an archive ends with zeros, or with its file."""
    part.seek(offset)
    block = part.read(_BLOCK)
    if not block.strip(b"\0"):
        return None
    what = "cut short" if len(block) < _BLOCK else "damaged"
    return (
        f"{found.where()} is {what} after {printable(last)}, and what came there is lost: fetch "
        "it again."
    )


def _follow(found, links):
    """Adds links as the members where they lead, over other links."""
    if not links:
        return
    places = {name: place for name, *place in found.members}
    targets = {name: posixpath.normpath(target) for name, target in links}
    for name in targets:
        target, steps = targets[name], 0
        while target in targets and steps <= len(links):
            target, steps = targets[target], steps + 1
        require(
            target in places,
            f"{found.where(name)} is a link to {printable(targets[name])}, which is not in the "
            "archive: pack what it leads to.",
        )
        found.members.append((name, *places[target]))


class _Part:
    """A part of a file, as tarfile reads it."""

    def __init__(self, descriptor, start, length):
        self._descriptor, self.start, self.length = descriptor, start, length
        self._place = 0

    def read(self, count):
        count = max(min(count, self.length - self._place), 0)
        content = read_at(self._descriptor, self.start + self._place, count)
        self._place += len(content)
        return content

    def seek(self, place):
        self._place = place

    def tell(self):
        return self._place
