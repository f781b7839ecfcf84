"""The folder of checkpoints: the newest k, the best, and which of them can still be read.

update_00000012.npz   a checkpoint, by updates done
best.npz              that of the best evaluated accuracy among those written at an epoch's end
kept.json             the names that must be there, so that a lost file is noticed
*.damaged             what could not be read when a run went on from an older one

The best is for whoever wants to look at it, or when nothing else is left: accuracy is the last
epoch's, and no result ever comes from the best. Unless config.data.validation sets images aside,
epochs are evaluated on the test set, and the best is then chosen on it.
"""

import os
import pathlib
import re
import shutil

from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoints
from tf_bdecay.storage.files import read_json, sync_folder, write_json

_NAME = "update_{:08d}.npz"
_PATTERN = re.compile(r"update_(\d+)\.npz")
_KEPT = "kept.json"
BEST = "best.npz"


def put(folder, arrays, meta, keep, best=False):
    """Writes a checkpoint, then removes the oldest beyond `keep`.

    Args:
        folder: of the checkpoints; created where it is not there.
        arrays: dict of label to array.
        meta: dict of JSON values, with "update" among them: the number of updates done.
        keep: how many to keep besides the best, >= 1.
        best: whether it is the best so far.

    Returns:
        The path written.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _NAME.format(meta["update"])
    checkpoints.write(path, arrays, meta)
    if best:
        _link(path, folder / BEST)
    names = _on_disk(folder)
    write_json(folder / _KEPT, {"kept": names[-keep:]})
    for name in names[:-keep]:
        (folder / name).unlink()
    return path


def newest(folder):
    """The path of the newest checkpoint in a folder, or None; whether it is whole is not asked."""
    names = _on_disk(pathlib.Path(folder))
    return pathlib.Path(folder, names[-1]) if names else None


def newest_good(folder, warn):
    """Reads the newest checkpoint that is whole, and sets aside the damaged ones after it.

    Nobody may be writing there: what is left of an unfinished save is removed.

    Args:
        folder: of the checkpoints; need not exist.
        warn: called with a sentence about each that is damaged or lost.

    Returns:
        The path, the dict of label to array and the dict `meta`; or None where there never was a
        checkpoint.

    Raises:
        BadInput: there are checkpoints and none is whole, or the newest whole one is of another
            format.
    """
    folder = pathlib.Path(folder)
    names = sorted({*_on_disk(folder), *_expected(folder, warn)}, key=_update, reverse=True)
    if (folder / BEST).exists():
        names.append(BEST)
    for part in folder.glob(".*.part"):
        part.unlink()  # what a kill left of a save
    bad = []
    for name in names:
        try:
            arrays, meta = checkpoints.read(folder / name)
        except checkpoints.Damaged as error:
            bad.append((name, str(error)))
            continue
        for damaged, why in bad:
            warn(f"{why.rstrip('.')}: going on from {name} in its place.")
            _set_aside(folder / damaged)
        return folder / name, arrays, meta
    if bad:
        raise BadInput(
            f"None of the {len(bad)} checkpoints in {folder} can be read, of which the newest: "
            f"{bad[0][1].rstrip('.')}; put a whole one back, or start from the beginning in "
            "another --workdir."
        )
    return None


def _update(name):
    return int(_PATTERN.fullmatch(name)[1])


def _on_disk(folder):
    """Names of the checkpoints, oldest first."""
    names = (p.name for p in folder.glob("*") if _PATTERN.fullmatch(p.name) and not p.is_dir())
    return sorted(names, key=_update)


def _expected(folder, warn):
    """Names of the checkpoints that were there when the last one was written."""
    if not (folder / _KEPT).exists():
        return []
    try:
        names = read_json(folder / _KEPT, dict)["kept"]
        return [name for name in names if _PATTERN.fullmatch(name)]
    except (BadInput, KeyError, TypeError):
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
    sync_folder(best.parent)


def _set_aside(path):
    """Renames a damaged checkpoint: it must neither be read again nor count among the newest."""
    if path.exists():
        os.replace(path, path.with_name(f"{path.name}.damaged"))
