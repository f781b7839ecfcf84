"""Checkpoints: every variable that a run depends on in one atomic file, and the folder of them.

A file holds an explicit list of variables. `model.variables` has the seed generators' state
(Dropout's), which Keras' own saving leaves out; the optimizer's variables have the decision. The
order of the data is a function of (seed, epoch, index) alone, so the number of updates done is its
only state. The file is NumPy's npz, followed by the SHA-256 of all before it, so that a truncated
file and a flipped bit are found.

The folder:

    update_00000012.npz   a checkpoint, by updates done: the newest k
    best.npz              that of the best evaluated accuracy among those written at an epoch's end
    kept.json             the names that must be there, so that a lost file is noticed
    *.damaged             what could not be read when a run resumed from an older one

The best is for whoever wants to look at it, or when nothing else is left: accuracy is the last
epoch's, and no result ever comes from the best. Unless config.data.validation sets images aside,
epochs are evaluated on the test set, and the best is then chosen on it.

    state = checkpoints.state_of(model, model.optimizer)
    checkpoints.save(folder, checkpoints.snapshot(state), {"update": 12}, keep=3)
    path, arrays, meta = checkpoints.read_newest(folder, warn=print)
    checkpoints.assign(path, arrays, state)
"""

import hashlib
import io
import json
import os
import pathlib
import re
import shutil

import numpy as np

from tf_bdecay.errors import BadInput, require, shown
from tf_bdecay.storage.files import (
    atomic_write,
    fits,
    fsync_folder,
    is_count,
    read_json,
    write_json,
)

FORMAT = 3
BEST = "best.npz"

_META = "meta"
_MARK = b"\ntf_bdecay checkpoint, sha256 "
_TRAILER = len(_MARK) + 64
_NAME = "update_{:08d}.npz"
_PATTERN = re.compile(r"update_([0-9]{8,18})\.npz")
_KEPT = "kept.json"


class Damaged(BadInput):
    """A checkpoint file that is not what was written, is missing or cannot be read."""


def state_of(model, optimizer=None):
    """All variables to save, by label.

    Args:
        model: the built model.
        optimizer: its built optimizer; None for the model's variables alone.

    Returns:
        Dict of label to Keras variable, in a fixed order. A label is the owner, the position and
        the variable's own name: a path is not unique, and not the same in the next process.
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
        BadInput: the variables are not those of the checkpoint. No variable has changed then.
    """
    check_same(path, arrays, state)
    for label, variable in state.items():
        variable.assign(arrays[label])


def check_same(path, arrays, state):
    """Raises `BadInput` unless a checkpoint's values are of these variables; as of `assign`."""
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
    """Writes a checkpoint file, atomically. Needs no TensorFlow: any thread may do it.

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
    """Reads a checkpoint file.

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
    if trailer != _MARK + hashlib.sha256(body).hexdigest().encode():
        raise Damaged(f"The checkpoint {path} is damaged (its checksum is wrong).")
    try:
        with np.load(io.BytesIO(body)) as file:
            arrays = {label: file[label] for label in file.files}
        meta = json.loads(arrays.pop(_META).tobytes())
    except Exception as error:  # a stranger's zip
        raise Damaged(f"The checkpoint {path} is not one ({type(error).__name__}).") from error
    if not fits(meta, {"format": int}):
        raise Damaged(f"The checkpoint {path} is not one: it says {shown(meta)}.")
    require(
        meta["format"] == FORMAT,
        f"The checkpoint {path} is of format {meta['format']} and this version of tf_bdecay reads "
        f"format {FORMAT}: go on with the version that wrote it, or begin in another folder.",
    )
    return arrays, meta


def save(folder, arrays, meta, keep, best=False):
    """Writes a checkpoint into a folder, then removes the oldest beyond `keep`.

    Args:
        folder: of the checkpoints; created where it is not there, in a folder that is: a run whose
            folder was deleted must not write on in a new one.
        arrays: dict of label to array.
        meta: dict of JSON values, with "update" among them: the number of updates done.
        keep: how many to keep besides the best, >= 1.
        best: whether it is the best so far.

    Returns:
        The path written.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    path = folder / _NAME.format(meta["update"])
    write(path, arrays, meta)
    if best:
        _link(path, folder / BEST)
    names = _on_disk(folder)
    write_json(folder / _KEPT, {"kept": names[-keep:]})
    for name in names[:-keep]:
        (folder / name).unlink()
    return path


def newest(folder):
    """The path of the newest checkpoint in a folder, which is not read; None without one."""
    names = _on_disk(pathlib.Path(folder))
    return pathlib.Path(folder, names[-1]) if names else None


def read_newest(folder, warn, check=lambda path, meta: None):
    """Reads the newest checkpoint that is not damaged, and sets aside the damaged ones after it.

    Nobody may be writing there: what is left of an unfinished save is removed.

    Args:
        folder: of the checkpoints; need not exist.
        warn: called with a sentence about each that is damaged or lost.
        check: called with the path and `meta` of one that can be read; raises `Damaged` where the
            run cannot have written it.

    Returns:
        The path, the dict of label to array and the dict `meta`; or None where there never was a
        checkpoint.

    Raises:
        BadInput: there are checkpoints and none can be read, or the newest that can is of another
            format.
    """
    folder = pathlib.Path(folder)
    for part in folder.glob(".*.part"):
        part.unlink()  # what a kill left of a save
    path, arrays, meta, bad = _first_sound(folder, warn, check)
    for damaged, why in bad:
        warn(f"{why.rstrip('.')}: going on from {path.name} in its place.")
        if (folder / damaged).exists():  # it must not be read again, nor count as one kept
            os.replace(folder / damaged, folder / f"{damaged}.damaged")
    return path and (path, arrays, meta)


def newest_sound(folder, warn):
    """The path of the newest checkpoint that is not damaged; the folder stays as it is.

    Args:
        folder: of the checkpoints; need not exist, and a run may be writing there.
        warn: as of `read_newest`.

    Returns:
        The path; None where there never was a checkpoint.

    Raises:
        BadInput: as of `read_newest`.
    """
    path, _, _, bad = _first_sound(pathlib.Path(folder), warn)
    for _, why in bad:
        warn(f"{why.rstrip('.')}: {path.name} is taken in its place.")
    return path


def _first_sound(folder, warn, check=lambda path, meta: None):
    """Path, arrays and `meta` of the newest that can be read, with the (name, why) of those after.

    Where there never was one, they are None, and no others.
    """
    names = sorted({*_on_disk(folder), *_expected(folder, warn)}, key=_update, reverse=True)
    if (folder / BEST).exists():
        names.append(BEST)
    bad = []
    for name in names:
        try:
            arrays, meta = read(folder / name)
            _check_update(folder / name, meta)
            check(folder / name, meta)
        except Damaged as error:
            bad.append((name, str(error)))
            continue
        return folder / name, arrays, meta, bad
    if bad:
        raise BadInput(
            f"None of the {len(bad)} checkpoints in {folder} can be read, of which the newest: "
            f"{bad[0][1].rstrip('.')}; put a complete one back, or start from the beginning in "
            "another folder."
        )
    return None, None, None, []


def _update(name):
    return int(_PATTERN.fullmatch(name)[1])


def _check_update(path, meta):
    """A checkpoint's number is in its name, too."""
    named = _PATTERN.fullmatch(path.name)
    update = meta.get("update")
    if not is_count(update) or (named and int(named[1]) != update):
        raise Damaged(f"The checkpoint {path} says update {shown(update)}, unlike its name.")


def _on_disk(folder):
    """Names of the checkpoints, oldest first."""
    names = (p.name for p in folder.glob("*") if _PATTERN.fullmatch(p.name) and not p.is_dir())
    return sorted(names, key=_update)


def _expected(folder, warn):
    """Names of the checkpoints that were there when the last one was written."""
    if not (folder / _KEPT).exists():
        return []
    try:
        names = read_json(folder / _KEPT, {"kept": [str]})["kept"]
        return [name for name in names if _PATTERN.fullmatch(name)]
    except BadInput:
        warn(f"{folder / _KEPT} is damaged: a checkpoint that was lost would not be noticed.")
        return []


def _link(path, best):
    """Gives a checkpoint its second name: a link, or a copy where the file system has no links."""
    aside = best.with_name(f".{best.name}.part")
    aside.unlink(missing_ok=True)
    try:
        os.link(path, aside)
    except OSError:
        shutil.copyfile(path, aside)
    os.replace(aside, best)
    fsync_folder(best.parent)
