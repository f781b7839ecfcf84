"""Files that survive a kill: atomic writes and appends, locks, JSON, versions."""

import contextlib
import fcntl
import importlib.metadata
import json
import math
import os
import pathlib
import platform

from tf_bdecay.errors import BadInput, require

_LIBRARIES = ("tensorflow", "keras", "numpy", "tensorflow-datasets", "tf-bdecay")


def atomic_write(path, write):
    """Writes a file atomically: a temporary file, fsync, and a rename.

    Args:
        path: where it goes.
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


def atomic_append(path, content):
    """Appends to a file and brings it to the disk; where that fails, the file is as it was.

    Args:
        path: of the file.
        content: bytes.
    """
    with open(path, "ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            left = memoryview(content)
            while left:  # a disk that fills up takes a part first, and fails then
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


def fsync_folder(folder):
    """Brings renames and removals in a folder to the disk, else power may fail before them."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path, value):
    """Writes JSON atomically."""
    atomic_write(path, lambda file: file.write(json.dumps(value, indent=2).encode() + b"\n"))


def read_json(path, kind):
    """What a JSON file of a workdir holds.

    Args:
        path: the file.
        kind: the type that it must hold, dict or list.

    Raises:
        BadInput: it cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}): choose another --workdir.") from error
    require(
        isinstance(value, kind),
        f"{path} is not of a run of main.py: choose another --workdir.",
    )
    return value


def json_ready(value):
    """A value that JSON can hold: numbers that are not finite become words, in dicts too."""
    if isinstance(value, dict):
        return {name: json_ready(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


@contextlib.contextmanager
def locked(folder, taken):
    """Keeps other processes out of a folder for as long as the context.

    Args:
        folder: its path; it exists.
        taken: what to say where another process is in it.

    Raises:
        BadInput: another process is in it.
    """
    with open(folder / ".lock", "w") as held:  # a process that dies lets go of it
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadInput(f"{taken}: wait for it, or choose another.") from error
        yield


def versions():
    """Versions of Python and of the libraries that a result depends on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # tensorflow goes by other names on TPU hosts; we may run from a clone
    return found
