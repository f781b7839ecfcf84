"""Writes the rows of a run as a page and as JSON."""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import textwrap

from tools.benchmarks.timing import HEADINGS, cells

_LIBRARIES = ("tensorflow", "keras", "jax", "optax", "numpy")
_INTRODUCTION = """\
# Performance

This page is made by `python tools/benchmark.py all --document=docs/performance.md`; the figures are
in `performance.json` beside it. All alternatives of a problem take turns in one run: compare
ratios, not milliseconds of another run or machine. The first alternative of a problem is the
reference, of ratio 1. "First s" is the first call, with tracing and compiling.

{machine}

## Goals

{goals}
"""


def write(path, sections, goals):
    """Writes the page and, beside it, the JSON.

    Args:
        path: of the page.
        sections: dict of a benchmark's name to (its module's docstring, rows).
        goals: list of (`Goal`, ratio).
    """
    path = pathlib.Path(path)
    parts = [_INTRODUCTION.format(machine=_machine(), goals=_table(GOAL_HEADINGS, _lines(goals)))]
    for name, (text, rows) in sections.items():
        title, _, rest = textwrap.dedent(text).strip().partition("\n")
        body = "\n\n".join(part for part in (title, rest.strip()) if part)
        parts.append(f"## {name}\n\n{body}\n\n{_table(HEADINGS, map(cells, rows))}\n")
    path.write_text("\n".join(parts))
    write_json(path.with_suffix(".json"), [row for _, rows in sections.values() for row in rows])


def write_json(path, rows):
    """Writes rows as JSON, with what they were measured on."""
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
    """Pairs of a module's goals and their ratios among rows, where both sides were measured."""
    found = [(goal, goal.ratio(rows)) for goal in getattr(module, "GOALS", ())]
    return [(goal, ratio) for goal, ratio in found if ratio is not None]


def print_goals(goals):
    """Prints goals and what was measured."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*GOAL_HEADINGS)
    for line in _lines(goals):
        table.add_row(*line)
    Console(width=120).print(table)


def _machine():
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    today = datetime.date.today().isoformat()
    return f"Measured on {today}: {cpu}, {os.cpu_count()} cores, no accelerator; {versions}."


def _table(headings, lines):
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join(["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings), *rows])
