"""Times alternatives in turns, and prints a table of ratios.

Machines are noisy and drift. Alternatives therefore take turns, one call each, and the table has
the ratios of their medians within one run.
"""

import dataclasses
import time

import numpy as np

from tf_bdecay.terminal.plain_text import plain_console


@dataclasses.dataclass(frozen=True)
class Row:
    """Timings of one alternative.

    Attributes:
        problem: what was computed.
        name: the alternative that computed it.
        ratio: its median over that of the reference, the first alternative.
        median_ms, low_ms, high_ms: median and quartiles of a call, in milliseconds; None where the
            ratio is of something in `figures` instead.
        first_s: time of the first call in seconds, including tracing and compiling; or None.
        figures: dict of other measurements, by name.
    """

    problem: str
    name: str
    ratio: float
    median_ms: float | None
    low_ms: float | None
    high_ms: float | None
    first_s: float | None
    figures: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Goal:
    """The largest ratio that two alternatives of one problem should have.

    Attributes:
        what: the goal in words.
        problem: the problem's name.
        ours, peer: names of the alternatives, numerator and denominator.
        at_most: the largest ratio that meets the goal.
        of: the time that is compared, "median_ms" or "first_s".
    """

    what: str
    problem: str
    ours: str
    peer: str
    at_most: float
    of: str = "median_ms"

    def ratio(self, rows):
        """The ratio in the rows of one run; None if one of the two was not measured."""
        found = {row.name: getattr(row, self.of) for row in rows if row.problem == self.problem}
        if self.ours in found and self.peer in found:
            return found[self.ours] / found[self.peer]
        return None


def interleave(problem, cases, repeats):
    """Times alternatives in turns.

    Args:
        problem: name for the table.
        cases: dict of name to a function without arguments that returns when its work is done;
            the first is the reference.
        repeats: number of timed calls of each case, after its first two calls.

    Returns:
        List of `Row`, in the order of the cases.
    """
    first, times = {}, {name: [] for name in cases}
    for name, call in cases.items():
        first[name] = seconds(call)
        call()
    for _ in range(repeats):
        for name, call in cases.items():
            times[name].append(seconds(call))
    figures = {name: getattr(call, "figures", {}) for name, call in cases.items()}
    return rows_of(problem, first, times, figures)


def rows_of(problem, first, times, figures=None):
    """A `Row` for each alternative; the first is the reference.

    Args:
        problem: name of the problem.
        first: dict of name to the seconds of the first call.
        times: dict of name to a list of the seconds of the timed calls.
        figures: dict of name to a row's `figures`; none by default.
    """
    reference = np.median(next(iter(times.values())))
    return [
        Row(
            problem,
            name,
            float(np.median(taken) / reference),
            *(float(np.percentile(taken, q) * 1e3) for q in (50, 25, 75)),
            first[name],
            dict((figures or {}).get(name, {})),
        )
        for name, taken in times.items()
    ]


def of_megabytes(problem, name, peak, before):
    """A `Row` of peak memory.

    Args:
        problem, name: the row's problem and alternative.
        peak: peak memory in MB.
        before: the rows of this problem so far; the first is the reference.
    """
    reference = before[0].figures["MB"] if before else peak
    return Row(problem, name, peak / reference, None, None, None, None, {"MB": peak})


HEADINGS = ("problem", "alternative", "ratio", "median ms", "quartiles ms", "first s", "besides")


def cells(row):
    """A row as strings, in the order of `HEADINGS`."""
    times = ("", "")
    if row.median_ms is not None:
        times = f"{row.median_ms:.4g}", f"{row.low_ms:.4g} to {row.high_ms:.4g}"
    return (
        row.problem,
        row.name,
        f"{row.ratio:.2f}",
        *times,
        "" if row.first_s is None else f"{row.first_s:.1f}",
        ", ".join(f"{_plain(value)} {name}" for name, value in row.figures.items()),
    )


def _plain(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def print_table(rows):
    """Prints rows by problem, ratios first."""
    from rich.table import Table

    table = Table(title="time of a call; ratios to the first alternative of each problem")
    for name in HEADINGS:
        number = name in HEADINGS[2:6]
        table.add_column(name, justify="right" if number else "left", no_wrap=number)
    for row in rows:
        table.add_row(*cells(row))
    plain_console(width=160).print(table)  # wide enough for full names, whatever the terminal


def seconds(call):
    """Time that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
