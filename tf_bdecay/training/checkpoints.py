"""Checkpoints: every variable that a run depends on, by an explicit list, in one atomic file.

`model.variables` has the seed generators' state (Dropout's), which Keras' own saving leaves out;
the optimizer's variables have the decision. The order of the data is a function of (seed, epoch,
index) alone, so the number of updates done is its whole state. Metrics are not here: a checkpoint
is taken between epochs, and `fit` resets them at the start of each.
"""

import json
import pathlib
import re
import zipfile

import numpy as np

from tf_bdecay.errors import BadInput, require
from tf_bdecay.training.workdir import write_whole

_NAME = "update_{:08d}.npz"
_META = "meta"


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


def save(folder, state, meta, keep):
    """Writes a checkpoint, then removes the oldest beyond `keep`.

    Args:
        folder: of the checkpoints; created where it is not there.
        state: dict of label to variable, from `state_of`.
        meta: dict of JSON values, with "update" among them: the number of updates run.
        keep: how many to keep, >= 1.

    Returns:
        The path written.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {label: variable.numpy() for label, variable in state.items()}
    arrays[_META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    path = folder / _NAME.format(meta["update"])
    write_whole(path, lambda file: np.savez(file, **arrays))
    for old in _all(folder)[:-keep]:
        old.unlink()
    return path


def newest(folder):
    """The path of the newest checkpoint in a folder, or None."""
    found = _all(pathlib.Path(folder))
    return found[-1] if found else None


def restore(path, state):
    """Assigns a checkpoint's values to the variables.

    Args:
        path: of the checkpoint.
        state: dict of label to variable, from `state_of`.

    Returns:
        The dict `meta` that was saved.

    Raises:
        BadInput: the file is damaged, or its variables are not these. No variable has changed then.
    """
    try:
        with np.load(path) as file:
            arrays = {label: file[label] for label in file.files}
        meta = json.loads(arrays.pop(_META).tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise BadInput(
            f"The checkpoint {path} is damaged ({error}): remove it to go on from the one before."
        ) from error
    _check_same(path, arrays, state)
    for label, variable in state.items():
        variable.assign(arrays[label])
    return meta


def _check_same(path, arrays, state):
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


def _all(folder):
    names = [p for p in folder.glob("update_*.npz") if re.fullmatch(r"update_\d+\.npz", p.name)]
    return sorted(names)
