"""Faults that follow a kill, and what the next start must say about them."""

import os
import pathlib

from tf_bdecay.storage import checkpoint_file, checkpoints


def cut_short(path):
    """The newest checkpoint loses its second half."""
    newest = _newest(path)
    os.truncate(newest, newest.stat().st_size // 2)


def wrong_meta(path):
    """The newest checkpoint is complete but claims to be two epochs further than it is."""
    newest = _newest(path)
    arrays, meta = checkpoint_file.read(newest)
    checkpoint_file.write(newest, arrays, {**meta, "epoch": meta["epoch"] + 2})


def garbled_list(path):
    """The list of checkpoints is not JSON."""
    (path / "checkpoints" / "kept.json").write_bytes(b'{"kept": [\xff\x00')


def half_line(path):
    """Half of the table's last line follows it again, as after an interrupted append."""
    table = path / "metrics.csv"
    last = table.read_bytes().splitlines()[-1]
    with open(table, "ab") as file:
        file.write(last[: len(last) // 2])


def no_terminal(path):
    """Changes no file: the next start's stdout closes while it trains."""


# Each fault, and what the next start must say about it, on stdout, on stderr or in errors.log; ""
# means no warning. Whatever the fault, the finished run must be the same as an undisturbed one.
FAULTS = {
    cut_short: "(its checksum is wrong): going on from ",
    wrong_meta: " is not of this run: ",
    garbled_list: "kept.json is damaged",
    half_line: "",
    no_terminal: "stdout is gone (Broken pipe): the run goes on",
}


def can_be_played(path):
    """Whether a run is in its middle: it has more than one checkpoint, and no result yet."""
    found = list(pathlib.Path(path, "checkpoints").glob("update_*.npz"))
    return len(found) > 1 and not (path / "result.json").exists()


def unmet(fault, said):
    """Sentences on what the start after a fault failed to say; an empty list if nothing."""
    expected = FAULTS[fault]
    if expected in said and (expected or "Warning" not in said and "damaged" not in said):
        return []
    return [f"{fault.__name__}: expected {expected or 'no warning'!r}, received: {said}"]


def _newest(path):
    return checkpoints.newest(path / "checkpoints")
