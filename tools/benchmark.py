"""Measures speed as ratios side by side in one run.

    python tools/benchmark.py optimizer
    python tools/benchmark.py optimizer --problems=tiny --repeats=50 --json=optimizer.json

Benchmarks: optimizer. Nothing else should run on the machine meanwhile.
"""

import dataclasses
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# From a checkout as well as from an installed package.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import app, flags

from tf_bdecay.errors import BadInput, unknown

BENCHMARKS = ("optimizer",)

_PROBLEMS = flags.DEFINE_list("problems", None, "Which problems; all by default.")
_REPEATS = flags.DEFINE_integer("repeats", 20, "Timed calls of each alternative.", lower_bound=1)
_JSON = flags.DEFINE_string("json", None, "A file to write the figures to, beside the table.")


def main(argv):
    """Runs the benchmarks that the command line names."""
    try:
        _run(argv[1:])
    except BadInput as error:
        print(f"benchmark.py: {error}", file=sys.stderr)
        sys.exit(2)


def _run(names):
    if not names:
        raise BadInput(f"Name a benchmark: {', '.join(BENCHMARKS)}.")
    for name in names:
        if name not in BENCHMARKS:
            raise unknown("benchmark", name, BENCHMARKS)
    from benchmarks import optimizer, timing

    problems = _PROBLEMS.value or optimizer.PROBLEMS
    for problem in problems:
        if problem not in optimizer.PROBLEMS:
            raise unknown("problem", problem, optimizer.PROBLEMS)
    rows = optimizer.run(problems, _REPEATS.value)
    timing.print_table(rows)
    if _JSON.value:
        figures = [dataclasses.asdict(row) for row in rows]
        pathlib.Path(_JSON.value).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
