"""Measures speed as ratios side by side in one run.

    python tools/benchmark.py optimizer
    python tools/benchmark.py optimizer --problems=tiny --repeats=50 --json=optimizer.json
    python tools/benchmark.py sharpness --problems=width16

Benchmarks: optimizer, ghost_batch_norm, sharpness. Nothing else should run on the machine
meanwhile.
"""

import dataclasses
import importlib
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# From a checkout as well as from an installed package.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import app, flags

from tf_bdecay.errors import BadInput, require, unknown

BENCHMARKS = ("optimizer", "ghost_batch_norm", "sharpness")

_PROBLEMS = flags.DEFINE_list("problems", None, "Which problems; all by default.")
_REPEATS = flags.DEFINE_integer("repeats", 20, "Timed calls of each alternative.", lower_bound=1)
_JSON = flags.DEFINE_string("json", None, "A file to write the figures to, beside the table.")


def main(names):
    """Runs the benchmarks that the command line names."""
    try:
        _run(names)
    except BadInput as error:
        _refuse(error)


def _names(argv):
    """Parses the flags; what is left names benchmarks. absl itself would exit with code 1."""
    try:
        return flags.FLAGS(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        valid = [f"--{name}" for name in (_PROBLEMS.name, _REPEATS.name, _JSON.name, "help")]
        _refuse(unknown("flag", f"--{error.flagname}", valid))
    except flags.Error as error:
        _refuse(f"The command line cannot be read: {str(error).rstrip('.')}.")


def _refuse(sentence):
    print(f"benchmark.py: {sentence}", file=sys.stderr)
    sys.exit(2)


def _run(names):
    if not names:
        raise BadInput(f"Name a benchmark: {', '.join(BENCHMARKS)}.")
    for name in names:
        if name not in BENCHMARKS:
            raise unknown("benchmark", name, BENCHMARKS)
    if _JSON.value is not None:
        _check_writable(pathlib.Path(_JSON.value))
    from benchmarks import timing

    modules = [importlib.import_module(f"benchmarks.{name}") for name in names]
    known = {problem for module in modules for problem in module.PROBLEMS}
    for problem in _PROBLEMS.value or ():
        if problem not in known:
            raise unknown("problem", problem, known)
    rows = []
    for module in modules:
        asked = [p for p in module.PROBLEMS if p in (_PROBLEMS.value or known)]
        found = module.run(asked, _REPEATS.value)
        timing.print_table(found)
        rows += found
    if _JSON.value is not None:
        figures = [dataclasses.asdict(row) for row in rows]
        pathlib.Path(_JSON.value).write_text(json.dumps(figures, indent=2) + "\n")


def _check_writable(path):
    target = path if path.exists() else path.parent
    require(
        not path.is_dir() and path.parent.is_dir() and os.access(target, os.W_OK),
        "--json must be a file that can be written, in a folder that exists. "
        f"Received: {_JSON.value!r}",
    )


if __name__ == "__main__":
    app.run(main, flags_parser=_names)
