"""Compares all parts of two finished runs that a kill must not change, bit for bit."""

import csv
import json

from tf_bdecay.storage import checkpoint_file, checkpoints, events

TIMES = ("images_per_second", "seconds")  # columns that differ between any two runs
TABLES = ("metrics.csv", "layers.csv")


def differences(expected, other):
    """Finds the differences between a run that was never killed and another.

    Args:
        expected: `pathlib.Path` of the first run's workdir.
        other: the same of the second run.

    Returns:
        List of sentences. It is empty if all of these are the same: weights, moments, decisions
        and all other saved variables; every CSV cell except times and speeds; every (tag, step,
        value) of the event files, in their order; and the result.
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
