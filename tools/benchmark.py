"""Measures speed as ratios of alternatives that take turns in one run.

    python tools/benchmark.py optimizer
    python tools/benchmark.py optimizer --problems=tiny --repeats=50 --json=optimizer.json
    python tools/benchmark.py all --document=docs/performance.md

The benchmarks are optimizer, ghost_batch_norm, train_step, input, sharpness and startup; `all` runs
every one of them, in half an hour. Nothing else should run on the machine meanwhile. With
KERAS_BACKEND=jax the first three run under JAX, on a GPU if there is one, and `all` means these.
"""

import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes share a GPU
# From a checkout as well as from an installed package.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags

from tf_bdecay.errors import require, unknown
from tf_bdecay.frameworks import quirks
from tools import commands

# Each benchmark, and whether it also runs under Keras' JAX backend.
BENCHMARKS = {
    "optimizer": True,
    "ghost_batch_norm": True,
    "train_step": True,
    "input": False,
    "sharpness": False,
    "startup": False,
}

_PROBLEMS = flags.DEFINE_list("problems", None, "Problems to run, by name; all by default.")
_REPEATS = flags.DEFINE_integer(
    "repeats", 20, "Timed calls of each alternative; slow benchmarks make fewer.", lower_bound=1
)
_JSON = flags.DEFINE_string("json", None, "File to write the figures to, in addition to the table.")
_DOCUMENT = flags.DEFINE_string("document", None, "Page to write, with its JSON file beside it.")
_ADDONS = flags.DEFINE_string(
    "addons_python",
    None,
    "For the benchmark optimizer: Python of an environment with TensorFlow Addons (make parity).",
)


def main(rest):
    """Runs the benchmarks that the command line names; returns the exit code."""
    names = rest[1:]
    valid = [*BENCHMARKS, "all"]
    require(names, f"Name a benchmark: {', '.join(valid)}.")
    for name in names:
        if name not in valid:
            raise unknown("benchmark", name, valid)
    jax = os.environ["KERAS_BACKEND"] == "jax"
    command = f"{'KERAS_BACKEND=jax ' if jax else ''}python tools/benchmark.py {' '.join(names)}"
    if "all" in names:
        names = [name for name, both in BENCHMARKS.items() if both or not jax]
    names = list(dict.fromkeys(names))
    for name in names:
        require(
            not jax or BENCHMARKS[name],
            f"The benchmark {name} needs TensorFlow: leave out KERAS_BACKEND=jax. Under JAX, run "
            f"{', '.join(name for name, both in BENCHMARKS.items() if both)} or all.",
        )
    for flag in (_JSON, _DOCUMENT):
        if flag.value is not None:
            _check_writable(flag.name, flag.value)
    if _ADDONS.value is not None:
        require(
            os.access(_ADDONS.value, os.X_OK) and "optimizer" in names,
            "--addons_python must be a Python that can be run, and needs the benchmark optimizer. "
            f"Received: {_ADDONS.value!r}",
        )
    with quirks.silent_stderr():
        from tools.benchmarks import document

        modules = {name: importlib.import_module(f"tools.benchmarks.{name}") for name in names}
    known = {problem for module in modules.values() for problem in module.PROBLEMS}
    for problem in _PROBLEMS.value or ():
        if problem not in known:
            raise unknown("problem", problem, known)
    asked = {
        name: [p for p in module.PROBLEMS if p in (_PROBLEMS.value or known)]
        for name, module in modules.items()
    }
    alone = sum(map(len, asked.values())) == 1
    sections, failed = {}, []
    for name, module in modules.items():
        sections[name] = module.__doc__, []
        for problem in asked[name]:
            rows = _measured(module, name, problem) if alone else _measured_apart(name, problem)
            failed += [f"{name} {problem}"] if rows is None else []
            sections[name][1].extend(rows or ())
            # Written after every problem, so that a later error loses no measurement.
            _write(document, sections, modules, command)
    goals = _goals(document, sections, modules)
    if goals:
        document.print_goals(goals)
    if failed:
        print(f"These problems ended early, for the reasons above: {', '.join(failed)}.")
    return 1 if failed else 0


def _measured(module, name, problem):
    from tools.benchmarks import timing

    options = {"addons_python": _ADDONS.value} if name == "optimizer" else {}
    rows = module.run([problem], _REPEATS.value, **options)
    timing.print_table(rows)
    return rows


def _measured_apart(name, problem):
    """Measures a problem in its own process, so that its leftovers in memory slow no other."""
    from tools.benchmarks import timing

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "rows.json"
        command = [sys.executable, __file__, name, f"--problems={problem}", f"--json={file}"]
        command.append(f"--repeats={_REPEATS.value}")
        if commands.TRACEBACK.value:
            command.append("--traceback")
        if _ADDONS.value is not None and name == "optimizer":
            command.append(f"--addons_python={_ADDONS.value}")
        code = subprocess.run(command, check=False).returncode
        if code:
            return None
        return [timing.Row(**row) for row in json.loads(file.read_text())["rows"]]


def _goals(document, sections, modules):
    pairs = [document.goals_of(modules[name], rows) for name, (_, rows) in sections.items()]
    return [goal for found in pairs for goal in found]


def _write(document, sections, modules, command):
    if _JSON.value is not None:
        document.write_json(_JSON.value, [row for _, rows in sections.values() for row in rows])
    if _DOCUMENT.value is not None:
        measured = {name: section for name, section in sections.items() if section[1]}
        command += f" --document={pathlib.Path(_DOCUMENT.value).name}"
        document.write(_DOCUMENT.value, measured, _goals(document, sections, modules), command)


def _check_writable(flag, value):
    path = pathlib.Path(value)
    target = path if path.exists() else path.parent
    require(
        not path.is_dir() and path.parent.is_dir() and os.access(target, os.W_OK),
        f"--{flag} must be a file that can be written, in a folder that exists. "
        f"Received: {value!r}",
    )


if __name__ == "__main__":
    commands.run("benchmark.py", main)
