"""A checkpoint: every variable that a run depends on, by an explicit list, in one atomic file.

`model.variables` has the seed generators' state (Dropout's), which Keras' own saving leaves out;
the optimizer's variables have the decision. The order of the data is a function of (seed, epoch,
index) alone, so the number of updates done is its whole state. Within an epoch the metrics so far
are there too.

The file is NumPy's npz, followed by the SHA-256 of all before it, so that a file cut short and a
flipped bit are found.
"""

import hashlib
import io
import json
import os
import pathlib

import numpy as np

from tf_bdecay.errors import BadInput, require
from tf_bdecay.storage.files import atomic_write

FORMAT = 2  # 1 had neither checksum nor metrics

_META = "meta"
_MARK = b"\ntf_bdecay checkpoint, sha256 "
_TRAILER = len(_MARK) + 64


class Damaged(BadInput):
    """A checkpoint file that is not what was written, is missing or cannot be read."""


def state_of(model, optimizer):
    """All variables to save, by label.

    Args:
        model: the built model.
        optimizer: its built optimizer.

    Returns:
        Dict of label to Keras variable, in a fixed order. A label is the owner, the position and
        the variable's own name: a path is not unique, and not the same in the next process.
    """
    return {
        f"{owner}/{position:04d}/{variable.name}": variable
        for owner, variables in (("model", model.variables), ("optimizer", optimizer.variables))
        for position, variable in enumerate(variables)
    }


def snapshot(state):
    """Copies variables to the host: nothing that trains on changes the copies.

    Args:
        state: dict of label to variable, from `state_of`.

    Returns:
        Dict of label to array.
    """
    return {label: np.array(variable.numpy()) for label, variable in state.items()}


def write(path, arrays, meta):
    """Writes a checkpoint, whole or not at all. Needs no TensorFlow: any thread may do it.

    Args:
        path: of the file.
        arrays: dict of label to array.
        meta: dict of JSON values to keep with them.
    """
    text = json.dumps({"format": FORMAT, **meta})
    arrays = {**arrays, _META: np.frombuffer(text.encode(), np.uint8)}

    def fill(file):
        np.savez(file, **arrays)
        file.flush()
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256")
        file.seek(0, os.SEEK_END)
        file.write(_MARK + digest.hexdigest().encode())

    atomic_write(path, fill)


def read(path):
    """Reads a checkpoint.

    Args:
        path: of the file.

    Returns:
        The dict of label to array, and the dict `meta`.

    Raises:
        Damaged: the file is not what was written, is missing or cannot be read.
        BadInput: it is of another format.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"The checkpoint {path} is missing.") from error
    except OSError as error:
        raise Damaged(f"The checkpoint {path} cannot be read ({error.strerror}).") from error
    body, trailer = content[:-_TRAILER], content[-_TRAILER:]
    whole = trailer == _MARK + hashlib.sha256(body).hexdigest().encode()
    if not whole:
        # A file of format 1 has no checksum, and so has one of ours that lost its end.
        arrays, meta = _unpacked(path, content)
        if "format" in meta:
            raise Damaged(f"The checkpoint {path} is damaged (its checksum is wrong).")
    else:
        arrays, meta = _unpacked(path, body)
    version = meta.get("format", 1)
    require(
        version == FORMAT,
        f"The checkpoint {path} is of format {version} and this version of tf_bdecay reads format "
        f"{FORMAT}: go on with the version that wrote it, or choose another --workdir.",
    )
    return arrays, meta


def assign(path, arrays, state):
    """Assigns a checkpoint's values to the variables.

    Args:
        path: of the checkpoint, for messages.
        arrays: dict of label to array.
        state: dict of label to variable, from `state_of`.

    Raises:
        BadInput: the variables are not those of the checkpoint. No variable has changed then.
    """
    for label in (*state, *arrays):
        require(
            label in arrays and label in state,
            f"The checkpoint {path} is of another model or optimizer: {label!r} is only in "
            f"{'it' if label in arrays else 'the experiment'}.",
        )
    for label, variable in state.items():
        array = arrays[label]
        ours = (tuple(variable.shape), np.dtype(variable.dtype).name)
        require(
            (array.shape, array.dtype.name) == ours,
            f"The checkpoint {path} is of another model or optimizer: {label!r} is {array.dtype} "
            f"{list(array.shape)} there and {ours[1]} {list(ours[0])} here.",
        )
    for label, variable in state.items():
        variable.assign(arrays[label])


def _unpacked(path, content):
    try:
        with np.load(io.BytesIO(content)) as file:
            arrays = {label: file[label] for label in file.files}
        meta = json.loads(arrays.pop(_META).tobytes())
    except Exception as error:  # zipfile and NumPy raise a dozen kinds over bytes that are not so
        raise Damaged(f"The checkpoint {path} is damaged ({_sentence(error)}).") from error
    return arrays, meta


def _sentence(error):
    return str(error).split("\n")[0].rstrip(".") or type(error).__name__
