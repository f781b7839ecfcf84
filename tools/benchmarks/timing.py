"""Interleaved timing of alternatives in one process, and a table that starts with the ratios.

Machines are noisy and drift, so alternatives take turns, one call each, and what is reported is the
ratio of medians within that one run.
"""

import dataclasses
import time

import numpy as np


@dataclasses.dataclass(frozen=True)
class Row:
    """Timings of one alternative.

    Attributes:
        problem: what was computed.
        name: which alternative computed it.
        ratio: its median over that of the reference, the first alternative.
        median_ms, low_ms, high_ms: median and quartiles of a call, in milliseconds.
        first_s: the first call, tracing and compiling included, in seconds.
    """

    problem: str
    name: str
    ratio: float
    median_ms: float
    low_ms: float
    high_ms: float
    first_s: float


def interleave(problem, cases, repeats):
    """Times alternatives in turns.

    Args:
        problem: name for the table.
        cases: dict of name to a function without arguments that returns when its work is done;
            the first is the reference.
        repeats: number of timed calls of each, after the first.

    Returns:
        List of `Row`, in the order of the cases.
    """
    first, times = {}, {name: [] for name in cases}
    for name, call in cases.items():
        first[name] = _seconds(call)
        call()
    for _ in range(repeats):
        for name, call in cases.items():
            times[name].append(_seconds(call))
    reference = np.median(times[next(iter(cases))])
    return [
        Row(
            problem,
            name,
            float(np.median(t) / reference),
            *(float(np.percentile(t, q) * 1e3) for q in (50, 25, 75)),
            first[name],
        )
        for name, t in times.items()
    ]


def print_table(rows):
    """Prints rows by problem, ratios first."""
    from rich.console import Console
    from rich.table import Table

    table = Table("problem", "alternative", title="time of a call, ratios to the first alternative")
    for name in ("ratio", "median ms", "quartiles ms", "first s"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.problem,
            row.name,
            f"{row.ratio:.2f}",
            f"{row.median_ms:.1f}",
            f"{row.low_ms:.1f} to {row.high_ms:.1f}",
            f"{row.first_s:.1f}",
        )
    Console(width=130).print(table)  # names in full, whatever the terminal


def _seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
