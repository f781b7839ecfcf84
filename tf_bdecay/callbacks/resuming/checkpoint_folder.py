"""The folder of `Resume`: one process at a time uses it, and its checkpoints are of one run."""

import contextlib
import warnings

from tf_bdecay.callbacks.resuming import run_record
from tf_bdecay.errors import BadInput, first_line, require
from tf_bdecay.storage import checkpoint_file, checkpoints
from tf_bdecay.storage.files import fits, is_count, locked
from tf_bdecay.storage.saver import Saver

_META = {
    "update": is_count,
    "epoch": is_count,
    "batch": is_count,
    "epochs": is_count,
    "ended": bool,
    "run": {"data": dict, "layers": list, "compiled": dict, "versions": dict},
    "history": {"epoch": [int], "logs": dict},
    "callbacks": {"names": [str], "states": list},
    "seen": dict,
}
_held = {}  # this process's locks and savers, by folder: an interrupted `fit` may begin again there


def warn(sentence):
    """Warns whoever called `fit`."""
    warnings.warn(sentence, stacklevel=2)


def lock(folder):
    """Creates a folder if it is missing, and keeps other processes out of it.

    If a `fit` of this process held it and was interrupted, what it still writes there is waited
    for.

    Args:
        folder: a `pathlib.Path`.

    Raises:
        BadInput: it cannot be used, or another process uses it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _end_interrupted(folder)
        held = contextlib.ExitStack()
        taken = f"Another process trains in the folder {str(folder)!r} of Resume"
        held.enter_context(locked(folder, taken, warn))
    except OSError as error:
        raise BadInput(
            f"`folder` of Resume cannot be used ({first_line(error)}): name another. "
            f"Received: folder={str(folder)!r}"
        ) from error
    _held[folder.resolve()] = held


def unlock(folder):
    """Releases a folder, if this process holds it, and closes the saver that writes there."""
    held = _held.pop(folder.resolve(), None)
    if held is not None:
        held.close()


def saver(folder, *arguments):
    """A `Saver` for a locked folder, which is closed with it at the latest.

    Args:
        folder: a `pathlib.Path`.
        *arguments: of `Saver`, without folder and `warn`.
    """
    made = Saver(folder, *arguments, warn)
    _held[folder.resolve()].callback(made.close)
    return made


def _end_interrupted(folder):
    """Releases a folder that an interrupted `fit` holds; its last checkpoint may have failed."""
    try:
        unlock(folder)
    except OSError as error:
        warn(f"A checkpoint of the interrupted `fit` was not saved: {first_line(error)}.")


def newest(folder, run, names, source, at_once):
    """The newest readable checkpoint of a run.

    Args:
        folder: a `pathlib.Path`.
        run: from `run_record.record_of`, of the run as it is now.
        names: classes of the callbacks whose state is kept.
        source: the source of the data, from `epoch_sources`.
        at_once: the model's `steps_per_execution`.

    Returns:
        Its path, dict of label to array and dict of metadata; None if there is no checkpoint.

    Raises:
        BadInput: there are checkpoints but none can be read, or the newest does not fit this run.
    """

    def check(path, meta):
        if not fits(meta, _META):
            raise checkpoint_file.Damaged(f"The checkpoint {path} is not one of Resume.")

    found = checkpoints.read_newest(folder, warn, check)
    if found is None:
        return None
    path, _, meta = found
    run_record.check_same(path, meta["run"], run)
    require(
        meta["callbacks"]["names"] == names,
        f"The checkpoint {path} has the state of other callbacks: Resume was made with callbacks "
        f"{meta['callbacks']['names']} then and {names} now.",
    )
    for epoch, digest in meta["seen"].items():
        require(
            digest == source.digest_of(int(epoch)),
            f"The data are not those of the run in {folder}: the first batch of epoch "
            f"{int(epoch) + 1} is another. They must be the same in every start of the program: "
            "give every shuffle a seed, or let resume.data(x, y) shuffle.",
        )
    left = source.num_batches - meta["batch"]
    require(
        left % at_once == 0,
        f"steps_per_execution={at_once} must divide the {left} batches that are left of the epoch "
        f"in {path}: go on with the value that it had.",
    )
    others = run_record.other_versions(meta["run"], run)
    if others:
        warn(f"The run goes on with other versions, so its bits may differ: {others}.")
    return found
