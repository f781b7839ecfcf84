"""Paths as people write them, in flags and configs."""

import contextlib
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
    """Raises `BadInput` unless `part_of(path)` can be made, and then renamed to `path`.

    Args:
        flag: the flag with the path, for the message: "--export".
        path: of the folder; where an empty one is, it is replaced.
    """
    try:
        folder = pathlib.Path(os.path.abspath(path))
        existing = folder.parent
        while not existing.exists():
            existing = existing.parent
        with contextlib.suppress(FileNotFoundError):
            os.lstat(part_of(folder))  # raises for too long a name
        right = str(path) and _is_free(folder) and os.access(existing, os.W_OK)
    except (OSError, ValueError):  # not a possible name of a folder, or no permission
        right = False
    require(
        right,
        f"{flag}={shown(str(path), 300)[1:-1]} must be a new or empty folder, in one that can be "
        "written to; not the present folder, a link or a mount.",
    )


def part_of(folder):
    """Where a folder is made before it is renamed: beside it. Takes and returns a `Path`."""
    return folder.with_name(f".{folder.name}.part")


def _is_free(folder):
    if not os.path.lexists(folder):
        return True
    stays = folder.is_symlink() or os.path.ismount(folder) or folder.samefile(os.curdir)
    return folder.is_dir() and not stays and not any(folder.iterdir())
