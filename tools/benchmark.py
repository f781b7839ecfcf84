"""Measures speed as ratios side by side in one run.

    python tools/benchmark.py optimizer
    python tools/benchmark.py optimizer --problems=tiny --repeats=50 --json=optimizer.json
    python tools/benchmark.py all --document=docs/performance.md

Benchmarks: optimizer, ghost_batch_norm, train_step, input, sharpness, startup; all is all of them,
in half an hour. Nothing else should run on the machine meanwhile. With KERAS_BACKEND=jax,
optimizer and ghost_batch_norm run under JAX, on a GPU where there is one.
"""

import importlib
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# From a checkout as well as from an installed package.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import app, flags

os.environ["TF_BDECAY_LAZY_IMPORT"] = "1"  # wrong flags are refused before TensorFlow loads
from tf_bdecay import quiet
from tf_bdecay.errors import BadInput, require, unknown

os.environ.pop("TF_BDECAY_LAZY_IMPORT", None)

# By name, and whether it runs under Keras' JAX backend too.
BENCHMARKS = {
    "optimizer": True,
    "ghost_batch_norm": True,
    "train_step": False,
    "input": False,
    "sharpness": False,
    "startup": False,
}

_PROBLEMS = flags.DEFINE_list("problems", None, "Which problems; all by default.")
_REPEATS = flags.DEFINE_integer("repeats", 20, "Timed calls of each alternative.", lower_bound=1)
_JSON = flags.DEFINE_string("json", None, "A file to write the figures to, beside the table.")
_DOCUMENT = flags.DEFINE_string("document", None, "A page to write; its JSON comes beside it.")
_ADDONS = flags.DEFINE_string(
    "addons_python",
    None,
    "optimizer: Python of an environment with TensorFlow Addons (make parity).",
)


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
        ours = (_PROBLEMS, _REPEATS, _JSON, _DOCUMENT, _ADDONS)
        valid = [f"--{name}" for name in (*(flag.name for flag in ours), "help")]
        _refuse(unknown("flag", f"--{error.flagname}", valid))
    except flags.Error as error:
        _refuse(f"The command line cannot be read: {str(error).rstrip('.')}.")


def _refuse(sentence):
    print(f"benchmark.py: {sentence}", file=sys.stderr)
    sys.exit(2)


def _run(names):
    valid = [*BENCHMARKS, "all"]
    require(names, f"Name a benchmark: {', '.join(valid)}.")
    for name in names:
        if name not in valid:
            raise unknown("benchmark", name, valid)
    names = list(BENCHMARKS) if "all" in names else list(dict.fromkeys(names))
    jax = os.environ["KERAS_BACKEND"] == "jax"
    for name in names:
        require(
            not jax or BENCHMARKS[name],
            f"The benchmark {name} is TensorFlow's: leave out KERAS_BACKEND=jax. Under JAX run "
            f"{' and '.join(name for name, both in BENCHMARKS.items() if both)}.",
        )
    for flag in (_JSON, _DOCUMENT):
        if flag.value is not None:
            _check_writable(flag.name, flag.value)
    if _ADDONS.value is not None:
        require(
            os.access(_ADDONS.value, os.X_OK) and "optimizer" in names,
            "--addons_python must be a Python that can be run, and is for the benchmark optimizer. "
            f"Received: {_ADDONS.value!r}",
        )
    with quiet.stderr():
        from tools.benchmarks import document, timing

        modules = {name: importlib.import_module(f"tools.benchmarks.{name}") for name in names}
    known = {problem for module in modules.values() for problem in module.PROBLEMS}
    for problem in _PROBLEMS.value or ():
        if problem not in known:
            raise unknown("problem", problem, known)
    sections, goals = {}, []
    for name, module in modules.items():
        asked = [p for p in module.PROBLEMS if p in (_PROBLEMS.value or known)]
        options = {"addons_python": _ADDONS.value} if name == "optimizer" else {}
        rows = module.run(asked, _REPEATS.value, **options)
        timing.print_table(rows)
        goals += document.goals_of(module, rows)
        sections[name] = module.__doc__, rows
        _write(document, sections, goals)  # an hour's figures are not lost to the last one's error
    if goals:
        document.print_goals(goals)


def _write(document, sections, goals):
    if _JSON.value is not None:
        document.write_json(_JSON.value, [row for _, rows in sections.values() for row in rows])
    if _DOCUMENT.value is not None:
        document.write(_DOCUMENT.value, sections, goals)


def _check_writable(flag, value):
    path = pathlib.Path(value)
    target = path if path.exists() else path.parent
    require(
        not path.is_dir() and path.parent.is_dir() and os.access(target, os.W_OK),
        f"--{flag} must be a file that can be written, in a folder that exists. "
        f"Received: {value!r}",
    )


if __name__ == "__main__":
    app.run(main, flags_parser=_names)
