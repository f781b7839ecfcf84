"""Writes the rows of a run to a page and to JSON."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import textwrap

import keras

from tf_bdecay.terminal.plain_text import plain_console
from tools import machine
from tools.benchmarks.timing import HEADINGS, cells

_LIBRARIES = ("tensorflow", "keras", "jax", "optax", "numpy")
_INTRODUCTION = """\
# Performance

This page is made by `{command}`; the figures
are in `{json}` beside it. The alternatives of a problem take turns in one run, so compare
their ratios, and not milliseconds across runs or machines. The first alternative of a problem is
the reference, with ratio 1. "First s" is the time of the first call in seconds, which includes
tracing and compiling.

{machine}
"""
_GOALS = """\
## Goals

{goals}
"""


def write(path, sections, goals, command):
    """Writes the page and, beside it, the JSON.

    Args:
        path: where the page goes.
        sections: dict of a benchmark's name to (its module's docstring, rows).
        goals: list of (`Goal`, ratio), which may be empty.
        command: the command that was run.
    """
    path = pathlib.Path(path)
    json_path = path.with_suffix(".json")
    parts = [_INTRODUCTION.format(command=command, json=json_path.name, machine=_machine())]
    if goals:
        parts.append(_GOALS.format(goals=_table(GOAL_HEADINGS, _lines(goals))))
    for name, (text, rows) in sections.items():
        title, _, rest = textwrap.dedent(text).strip().partition("\n")
        body = "\n\n".join(part for part in (title, rest.strip()) if part)
        parts.append(f"## {name}\n\n{body}\n\n{_table(HEADINGS, map(cells, rows))}\n")
    path.write_text("\n".join(parts))
    write_json(json_path, [row for _, rows in sections.values() for row in rows])


def write_json(path, rows):
    """Writes rows as JSON, with the machine and versions they were measured on."""
    figures = {"machine": _machine(), "rows": [dataclasses.asdict(row) for row in rows]}
    pathlib.Path(path).write_text(json.dumps(figures, indent=1) + "\n")


GOAL_HEADINGS = ("goal", "at most", "measured", "met")


def _lines(goals):
    for goal, ratio in goals:
        yield (
            goal.what,
            f"{goal.at_most:g}",
            f"{ratio:.3g}",
            "yes" if ratio <= goal.at_most else "no",
        )


def goals_of(module, rows):
    """A module's goals of which both sides were measured, each paired with its ratio."""
    found = [(goal, goal.ratio(rows)) for goal in getattr(module, "GOALS", ())]
    return [(goal, ratio) for goal, ratio in found if ratio is not None]


def print_goals(goals):
    """Prints the goals and the measured ratios."""
    from rich.table import Table

    table = Table(*GOAL_HEADINGS)
    for line in _lines(goals):
        table.add_row(*line)
    plain_console(width=120).print(table)


def _machine():
    today = datetime.date.today().isoformat()
    return (
        f"Measured on {today}: {machine.processor()}, {os.cpu_count()} cores, {_accelerator()}; "
        f"{', '.join(_versions())}; Keras' backend {keras.backend.backend()}."
    )


def _accelerator():
    if keras.backend.backend() == "jax":
        import jax

        kinds = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    else:
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        gpus = tf.config.list_physical_devices("GPU")
        kinds = [details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return ", ".join(kinds) or "no accelerator"


def _versions():
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield f"{name} {importlib.metadata.version(name)}"


def _table(headings, lines):
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join(["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings), *rows])
