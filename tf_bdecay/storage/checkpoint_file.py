"""A checkpoint: every variable that a run depends on, in one atomic file with a checksum.

A file holds an explicit list of variables. `model.variables` includes the seed generators' state
(Dropout's), which Keras' own saving leaves out; the optimizer's variables include the decision. The
order of the data is a function of (seed, epoch, index) alone, so its only state is the number of
updates done. The file is NumPy's npz followed by its SHA-256, which reveals truncation and flipped
bits.

    state = checkpoint_file.state_of(model, model.optimizer)
    checkpoint_file.write(path, checkpoint_file.snapshot(state), {"update": 12})
    arrays, meta = checkpoint_file.read(path)
    checkpoint_file.assign(path, arrays, state)
"""

import hashlib
import io
import json
import os
import pathlib

import ml_dtypes
import numpy as np

from tf_bdecay.errors import BadInput, require, shown
from tf_bdecay.storage.files import atomic_write, fits

FORMAT = 3

_META = "meta"
_DTYPES = "dtypes"  # of the arrays that NumPy alone would not read back, by label
_REGISTERED = 2  # how `np.dtype.isbuiltin` marks the dtypes of another package
_MARK = b"\ntf_bdecay checkpoint, sha256 "
_TRAILER = len(_MARK) + 64


class Damaged(BadInput):
    """A checkpoint file that is not what was written, is missing or cannot be read."""


def state_of(model, optimizer=None):
    """All variables to save, by label.

    Args:
        model: the built model.
        optimizer: its built optimizer; None for the model's variables alone.

    Returns:
        Dict of label to Keras variable, in a fixed order. A label is the owner, the position and
        the variable's own name, because a path is not unique and differs in the next process.
    """
    return {
        f"{owner}/{position:04d}/{variable.name}": variable
        for owner, of in (("model", model), ("optimizer", optimizer))
        for position, variable in enumerate(of.variables if of is not None else ())
    }


def snapshot(state):
    """Copies variables to the host, where further training does not change them.

    Args:
        state: dict of label to variable, from `state_of`.

    Returns:
        Dict of label to array.
    """
    return {label: np.array(variable.numpy()) for label, variable in state.items()}


def assign(path, arrays, state):
    """Assigns a checkpoint's values to the variables.

    Args:
        path: of the checkpoint, for messages.
        arrays: dict of label to array.
        state: dict of label to variable, from `state_of`.

    Raises:
        BadInput: the variables are not those of the checkpoint. Then none of them has changed.
    """
    check_same(path, arrays, state)
    for label, variable in state.items():
        variable.assign(arrays[label])


def check_same(path, arrays, state):
    """Raises `BadInput` unless a checkpoint is of these variables. Arguments as of `assign`."""
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


def write(path, arrays, meta):
    """Writes a checkpoint file atomically; any thread may do it, as it needs no TensorFlow.

    Args:
        path: of the file.
        arrays: dict of label to array.
        meta: dict of JSON values to store with them.
    """
    arrays, dtypes = _plain(arrays)
    text = json.dumps({"format": FORMAT, **meta, **({_DTYPES: dtypes} if dtypes else {})})
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
    """Reads a checkpoint file.

    Args:
        path: of the file.

    Returns:
        The dict of label to array, and the dict `meta`.

    Raises:
        Damaged: the file is not what was written, is missing or cannot be read.
        BadInput: the file has another format.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"The checkpoint {path} is missing.") from error
    except OSError as error:
        raise Damaged(f"The checkpoint {path} cannot be read ({error.strerror}).") from error
    body, trailer = content[:-_TRAILER], content[-_TRAILER:]
    if trailer != _MARK + hashlib.sha256(body).hexdigest().encode():
        raise Damaged(f"The checkpoint {path} is damaged (its checksum is wrong).")
    try:
        with np.load(io.BytesIO(body)) as file:
            arrays = {label: file[label] for label in file.files}
        meta = json.loads(arrays.pop(_META).tobytes())
        for label, name in meta.pop(_DTYPES, {}).items():
            arrays[label] = arrays[label].view(getattr(ml_dtypes, name))
    except Exception as error:  # a zip file of another kind may raise anything
        raise Damaged(f"The checkpoint {path} is not one ({type(error).__name__}).") from error
    if not fits(meta, {"format": int}):
        raise Damaged(f"The checkpoint {path} is not one: it says {shown(meta)}.")
    require(
        meta["format"] == FORMAT,
        f"The checkpoint {path} is of format {meta['format']} and this version of tf_bdecay reads "
        f"format {FORMAT}: go on with the version that wrote it, or begin in another folder.",
    )
    return arrays, meta


def _plain(arrays):
    """Arrays in dtypes of NumPy's own, and the names of the others: bfloat16, float8, int4, ...

    Those are of the package ml_dtypes, and a file of NumPy's says nothing of them but their size.
    """
    others = {label: a.dtype for label, a in arrays.items() if a.dtype.isbuiltin == _REGISTERED}
    plain = {label: arrays[label].view(f"u{dtype.itemsize}") for label, dtype in others.items()}
    return {**arrays, **plain}, {label: dtype.name for label, dtype in others.items()}
