"""Paths as people write them, in flags and configs."""

import os
import pathlib
import re

from tf_bdecay.errors import BadInput, require, shown


def local(name, path):
    """Replaces `~` at the beginning of a path by the home folder, as a shell does.

    A shell does not do so behind `--flag=`.

    Args:
        name: of the flag or argument, for the message.
        path: str or `os.PathLike`.

    Returns:
        A string.

    Raises:
        BadInput: the path is an address, such as a bucket's, which would be read as a folder's
            name.
    """
    path = os.fspath(path)
    require(
        not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path),
        f"{name} must be a path on this machine: copy or mount what the address has, and name "
        f"that. Received: {shown(path, 300)[1:-1]}",
    )
    return os.path.expanduser(path)


def check_can_write(flag, path):
    """Raises `BadInput` unless a file can be written at a path; to be called before long work.

    Args:
        flag: the flag with the path, for the message: "--out".
        path: of the file.
    """
    path = pathlib.Path(path)
    aside = path.with_name(f".{path.name}.part")
    try:
        require(not path.is_dir(), f"{flag}={path} is a folder: name a file.")
        aside.touch()
        aside.unlink()
    except OSError as error:
        raise BadInput(
            f"{flag}={shown(str(path))[1:-1]} cannot be written ({error.strerror}): name a file in "
            "a folder that is there and can be written to."
        ) from error


def check_new_folder(flag, path):
    """Raises `BadInput` unless a folder can be created at a path, or an empty one is there.

    Args:
        flag: the flag with the path, for the message: "--export".
        path: of the folder.
    """
    try:
        existing = folder = pathlib.Path(os.path.abspath(path))
        free = not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir()))
        while free and not existing.exists():
            existing = existing.parent
        right = str(path) and free and existing.is_dir() and os.access(existing, os.W_OK)
    except (OSError, ValueError):  # not a possible name of a folder, or no permission
        right = False
    require(
        right,
        f"{flag}={shown(str(path), 300)[1:-1]} must be a new or empty folder, in one that can be "
        "written to.",
    )
