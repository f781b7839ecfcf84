"""Compares two finished runs: all that a kill must not change, bit for bit."""

import csv
import json

from tf_bdecay.storage import checkpoint_file, checkpoints, events

TIMES = ("images_per_second", "seconds")  # columns that no two runs share
TABLES = ("metrics.csv", "layers.csv")


def differences(expected, other):
    """What differs between a run that was never killed and another.

    Args:
        expected: `Workdir` path of the first, a `pathlib.Path`.
        other: of the second.

    Returns:
        List of sentences, empty where weights, moments, decisions and all other saved variables,
        every CSV cell but times and rates, every (tag, step, value) of the event files, in their
        order, and the result are the same.
    """
    found = _of_variables(expected, other)
    for name in TABLES:
        found += _of_lists(name, _rows(expected / name), _rows(other / name))
    ours, theirs = (
        [repr(value) for value in events.read(path / "tensorboard")] for path in (expected, other)
    )
    found += _of_lists("the event files", ours, theirs)
    results = [json.loads((path / "result.json").read_text()) for path in (expected, other)]
    return found + (["result.json differs"] if results[0] != results[1] else [])


def _of_variables(expected, other):
    names = [checkpoints.newest(path / "checkpoints") for path in (expected, other)]
    if names[0].name != names[1].name:
        return [f"the last checkpoint is {names[1].name}, not {names[0].name}"]
    (ours, meta), (theirs, their_meta) = map(checkpoint_file.read, names)
    found = [
        f"{label} differs"
        for label in sorted({*ours, *theirs})
        if label not in ours
        or label not in theirs
        or ours[label].dtype != theirs[label].dtype
        or ours[label].tobytes() != theirs[label].tobytes()
    ]
    return found + (["the checkpoint's meta differs"] if meta != their_meta else [])


def _of_lists(what, ours, theirs):
    for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        if a != b:
            return [f"{what}: entry {i + 1} is {b}, not {a}"]
    if len(ours) != len(theirs):
        return [f"{what}: {len(theirs)} entries, not {len(ours)}"]
    return []


def _rows(path):
    with open(path, newline="") as file:
        return [
            {name: cell for name, cell in row.items() if name not in TIMES}
            for row in csv.DictReader(file)
        ]
