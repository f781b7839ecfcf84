"""Files that survive a kill: atomic writes and appends, locks, JSON, versions."""

import contextlib
import errno
import fcntl
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import platform

from tf_bdecay.errors import BadInput, require, shown

_LIBRARIES = ("tensorflow", "jax", "keras", "numpy", "tensorflow-datasets", "tf-bdecay")


def atomic_write(path, write):
    """Writes a file atomically: a temporary file, fsync, and a rename.

    Args:
        path: of the file.
        write: called with the open binary file, which can be read too.
    """
    path = pathlib.Path(path)
    aside = path.with_name(f".{path.name}.part")
    try:
        with open(aside, "w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()  # half a file is of no use, and the disk may be full
        raise
    fsync_folder(path.parent)


def atomic_append(path, content, create=False):
    """Appends to a file and syncs it to the disk; if that fails, the file is as it was.

    Args:
        path: of the file.
        content: bytes.
        create: whether the file is new; otherwise it must exist, because one that was removed
            meanwhile must not begin anew.
    """
    with open(path, "ab" if create else "r+b", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            left = memoryview(content)
            while left:  # a disk that fills up takes a part first and then fails
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


def fsync_folder(folder):
    """Syncs renames and removals in a folder to the disk, so that they survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path, value):
    """Writes JSON atomically."""
    atomic_write(path, lambda file: file.write(json.dumps(value, indent=2).encode() + b"\n"))


def sha256_of(path):
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fits(value, shape):
    """Whether a value that was read from a file has a given shape.

    Args:
        value: a value of JSON.
        shape: a type or a tuple of types (True is not a number); a list of one shape, that of every
            item; a dict of the shapes of keys that must be there; or a predicate.
    """
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(
            name in value and fits(value[name], inner) for name, inner in shape.items()
        )
    if isinstance(shape, (type, tuple)):
        kinds = shape if isinstance(shape, tuple) else (shape,)
        return isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds)
    return bool(shape(value))


def is_count(value):
    """Whether a value is a whole number >= 0; can be used as a shape."""
    return fits(value, int) and value >= 0


def read_json(path, shape, otherwise="choose another folder"):
    """Reads a JSON file of tf_bdecay's, which may be damaged or somebody else's.

    Args:
        path: the file.
        shape: the shape of what it must hold, as for `fits`.
        otherwise: what the user can do if the file is of no use, for the message.

    Raises:
        BadInput: it cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is damaged ({error}): {otherwise}.") from error
    require(
        fits(value, shape),
        f"{path} is not as tf_bdecay writes it: {otherwise}. Received: {shown(value)}",
    )
    return value


def json_ready(value):
    """A value that JSON can hold: numbers that are not finite become words, also inside dicts."""
    if isinstance(value, dict):
        return {name: json_ready(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


@contextlib.contextmanager
def locked(folder, taken, warn=lambda sentence: None):
    """Keeps other processes out of a folder while the context is open.

    Args:
        folder: path of an existing folder.
        taken: how the error begins if another process is in it.
        warn: called with a sentence if the file system has no locks; the folder is then not locked.

    Raises:
        BadInput: another process is in it.
    """
    with open(folder / ".lock", "w") as held:  # released when the process dies
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise BadInput(f"{taken}: wait for it, or choose another.") from error
            warn(
                f"Warning: {folder} cannot be locked ({error.strerror}): see that no other process "
                "writes there."
            )
        yield


def versions():
    """Versions of Python and of the libraries that a result depends on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # TPU hosts have tensorflow by another name, and a clone is not installed
    return found
