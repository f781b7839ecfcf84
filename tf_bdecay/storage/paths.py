"""Paths as people write them, in flags and configs."""

import os
import re

from tf_bdecay.errors import require, shown


def local(name, path):
    """A path as the system takes it: `~` at its beginning is one's home, as in a shell.

    A shell leaves it alone behind `--flag=`.

    Args:
        name: of the flag or argument, for the message.
        path: str or `os.PathLike`.

    Returns:
        A string.

    Raises:
        BadInput: an address, such as of a bucket, which would be read as a folder's name.
    """
    path = os.fspath(path)
    require(
        not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path),
        f"{name} must be a path on this machine: copy or mount what the address has, and name "
        f"that. Received: {shown(path, 300)[1:-1]}",
    )
    return os.path.expanduser(path)
