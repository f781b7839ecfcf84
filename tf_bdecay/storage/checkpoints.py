"""The folder of a run's checkpoints: the newest k, the best, and what is damaged or lost.

    update_00000012.npz   a checkpoint, named by updates done; the newest k stay
    best.npz              the one with the best evaluated accuracy of those at an epoch's end
    kept.json             the names that must be there, so that a lost file is noticed
    *.damaged             what could not be read when a run resumed from an older one

The best is there to be looked at, or for when nothing else is left. No result ever comes from it: a
run's accuracy is the last epoch's. Unless config.data.validation sets images aside, epochs are
evaluated on the test set, and so the best is chosen on it.

    checkpoints.save(folder, checkpoint_file.snapshot(state), {"update": 12}, keep=3)
    path, arrays, meta = checkpoints.read_newest(folder, warn=print)
"""

import os
import pathlib
import re
import shutil

from tf_bdecay.errors import BadInput, shown
from tf_bdecay.storage.checkpoint_file import Damaged, read, write
from tf_bdecay.storage.files import fsync_folder, is_count, read_json, write_json

BEST = "best.npz"

_NAME = "update_{:08d}.npz"
_PATTERN = re.compile(r"update_([0-9]{8,18})\.npz")
_KEPT = "kept.json"


def save(folder, arrays, meta, keep, best=False):
    """Writes a checkpoint into a folder, then removes the oldest beyond `keep`.

    Args:
        folder: of the checkpoints; created if missing, but only in an existing folder: a run whose
            folder was deleted must not go on in a new one.
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
    """The path of the newest checkpoint in a folder, without reading it; None if there is none."""
    names = _on_disk(pathlib.Path(folder))
    return pathlib.Path(folder, names[-1]) if names else None


def read_newest(folder, warn, check=lambda path, meta: None):
    """Reads the newest checkpoint that is not damaged, and sets aside the damaged ones after it.

    Nobody may be writing there, because leftovers of an unfinished save are removed.

    Args:
        folder: of the checkpoints; need not exist.
        warn: called with a sentence about each checkpoint that is damaged or lost.
        check: called with the path and `meta` of a readable checkpoint; raises `Damaged` if the run
            cannot have written it.

    Returns:
        The path, the dict of label to array and the dict `meta`; or None if there never was a
        checkpoint.

    Raises:
        BadInput: there are checkpoints but none can be read, or the newest readable one has another
            format.
    """
    folder = pathlib.Path(folder)
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)  # what a kill left of a save
    path, arrays, meta, bad = _first_sound(folder, warn, check)
    for damaged, why in bad:
        warn(f"{why.rstrip('.')}: going on from {path.name} in its place.")
        if (folder / damaged).exists():  # it must not be read again or count as kept
            os.replace(folder / damaged, folder / f"{damaged}.damaged")
    return path and (path, arrays, meta)


def newest_sound(folder, warn):
    """The path of the newest checkpoint that is not damaged; the folder stays as it is.

    Args:
        folder: of the checkpoints; need not exist, and a run may be writing there.
        warn: as of `read_newest`.

    Returns:
        The path; None if there never was a checkpoint.

    Raises:
        BadInput: as of `read_newest`.
    """
    path, _, _, bad = _first_sound(pathlib.Path(folder), warn)
    for _, why in bad:
        warn(f"{why.rstrip('.')}: {path.name} is taken in its place.")
    return path


def _first_sound(folder, warn, check=lambda path, meta: None):
    """Path, arrays and `meta` of the newest readable checkpoint, and (name, why) of newer ones.

    If there never was a checkpoint, the first three are None and the list is empty.
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
    """Raises `Damaged` unless a checkpoint has the number of updates that its name says."""
    named = _PATTERN.fullmatch(path.name)
    update = meta.get("update")
    if not is_count(update) or (named and int(named[1]) != update):
        raise Damaged(f"The checkpoint {path} says update {shown(update)}, unlike its name.")


def _on_disk(folder):
    """Names of the checkpoints, oldest first."""
    names = (p.name for p in folder.glob("*") if _PATTERN.fullmatch(p.name) and not p.is_dir())
    return sorted(names, key=_update)


def _expected(folder, warn):
    """Names of the checkpoints that were kept when the last one was written."""
    if not (folder / _KEPT).exists():
        return []
    try:
        names = read_json(folder / _KEPT, {"kept": [str]})["kept"]
        return [name for name in names if _PATTERN.fullmatch(name)]
    except BadInput:
        warn(f"{folder / _KEPT} is damaged: a checkpoint that was lost would not be noticed.")
        return []


def _link(path, best):
    """Gives a checkpoint its second name: a link, or a copy if the file system has no links."""
    aside = best.with_name(f".{best.name}.part")
    aside.unlink(missing_ok=True)
    try:
        os.link(path, aside)
    except OSError:
        shutil.copyfile(path, aside)
    os.replace(aside, best)
    fsync_folder(best.parent)
