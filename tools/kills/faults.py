"""What goes wrong between two kills, and what the next start must say of it."""

import os
import pathlib

from tf_bdecay.storage import checkpoint_file, checkpoints


def cut_short(path):
    """The newest checkpoint loses its second half."""
    newest = _newest(path)
    os.truncate(newest, newest.stat().st_size // 2)


def wrong_meta(path):
    """The newest checkpoint is complete and says that it is two epochs further than it is."""
    newest = _newest(path)
    arrays, meta = checkpoint_file.read(newest)
    checkpoint_file.write(newest, arrays, {**meta, "epoch": meta["epoch"] + 2})


def garbled_list(path):
    """The list of checkpoints is no JSON."""
    (path / "checkpoints" / "kept.json").write_bytes(b'{"kept": [\xff\x00')


def half_line(path):
    """The last line of the table is half there again, as an append that was cut off leaves it."""
    table = path / "metrics.csv"
    last = table.read_bytes().splitlines()[-1]
    with open(table, "ab") as file:
        file.write(last[: len(last) // 2])


def no_terminal(path):
    """Nothing here: the next start's stdout closes while it trains."""


# What happens, and what the next start must say of it: on stdout or stderr, or in errors.log; ""
# for no warning. Whatever it is, the finished run must be the one that nothing happened to.
FAULTS = {
    cut_short: "(its checksum is wrong): going on from ",
    wrong_meta: " is not of this run: ",
    garbled_list: "kept.json is damaged",
    half_line: "",
    no_terminal: "stdout is gone (Broken pipe): the run goes on",
}


def can_be_played(path):
    """Whether a run is in the middle: another checkpoint than the newest, and no result yet."""
    found = list(pathlib.Path(path, "checkpoints").glob("update_*.npz"))
    return len(found) > 1 and not (path / "result.json").exists()


def unmet(fault, said):
    """What is wrong in what the start after a fault said: a list of sentences, empty for none."""
    expected = FAULTS[fault]
    if expected in said and (expected or "Warning" not in said and "damaged" not in said):
        return []
    return [f"{fault.__name__}: {expected or 'no warning'!r} was expected: {said}"]


def _newest(path):
    return checkpoints.newest(path / "checkpoints")
