"""Writes tar archives for the tests, member by member."""

import io
import os
import tarfile


def tar(members):
    """The bytes of an archive.

    Args:
        members: dict of name to bytes, None for a folder, or a `tarfile.TarInfo` as it is; or pairs
            of such, for a name that is there twice.
    """
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, bytes):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return file.getvalue()


def link(name, target, hard=False):
    """A member that leads to another."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.LNKTYPE if hard else tarfile.SYMTYPE
    info.linkname = target
    return info


def flat(tree, above=""):
    """Dict of path to bytes of a tree of dicts."""
    found = {}
    for name, below in tree.items():
        path = os.path.join(above, name)
        found |= flat(below, path) if isinstance(below, dict) else {path: below}
    return found
