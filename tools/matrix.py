"""Tries the package with the oldest and newest versions of its dependencies: docs/matrix.md.

    python tools/matrix.py
    python tools/matrix.py --rows=3.12-oldest,3.13-newest --keep

Each row is an environment of its own, which is made with uv if it is installed (else with pip),
tried and deleted. Rows that are not chosen keep their result in docs/matrix.json. Pythons are found
on PATH and in pyenv; a row whose Python is missing, or whose versions conflict, says so.
Exit codes: 0 all that could be installed passed, 1 something failed, 2 input that cannot be used.
"""

import datetime
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from absl import flags

from tf_bdecay.errors import require, unknown
from tools import commands
from tools.environments import making, page
from tools.environments.making import Failed, Row

ROWS = (
    Row("3.11-oldest", "3.11", "oldest"),
    Row("3.11-newest", "3.11", "newest"),
    Row("3.12-oldest", "3.12", "oldest"),
    Row("3.12-keras-3.13", "3.12", "newest", ("keras==3.13.*", "tensorflow==2.20.*")),
    Row("3.12-keras-3.14", "3.12", "newest", ("keras==3.14.*", "tensorflow==2.20.*")),
    Row("3.12-newest", "3.12", "newest"),
    Row("3.13-oldest", "3.13", "oldest", ("tensorflow==2.20.*", "tensorboard==2.20.*")),
    Row("3.13-newest", "3.13", "newest"),
)
ANY_BACKEND = (
    "tests/frameworks/test_keras_private.py",
    "tests/layers/test_conversion.py",
    "tests/optim/test_fit.py",
)
TESTS = (*ANY_BACKEND, "tests/training/step/test_trainer.py")
EXTRAS = ("cpu", "jax")
SMALL = ("--config.model.width=4", "--config.epochs=1", "--workdir=run")
MEASURE = ("--model=run", "--measures=C", "--examples=64", "--out=out")

_ROWS = flags.DEFINE_list("rows", [row.name for row in ROWS], "Rows to try.")
_KEEP = flags.DEFINE_boolean("keep", False, "Keep the environments.")
_FOLDER = flags.DEFINE_string(
    "folder", None, "New or empty folder for the environments; a temporary one by default."
)


def main(rest):
    """Tries the chosen rows; returns the exit code."""
    require(not rest[1:], f"matrix.py takes flags only. Received: {' '.join(rest[1:])}")
    rows = {row.name: row for row in ROWS}
    for name in _ROWS.value:
        if name not in rows:
            raise unknown("row", name, rows)
    folder = pathlib.Path(_FOLDER.value or tempfile.mkdtemp(prefix="matrix-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    require(not any(folder.iterdir()), f"--folder must be new or empty. Received: {folder}")
    failed = []
    try:
        path = making.wheel(ROOT, folder)
        for name in _ROWS.value:
            result = tried(rows[name], folder / name, path)
            page.keep(ROOT / "docs", name, result, list(rows), ", ".join(f"`{t}`" for t in TESTS))
            steps = result["steps"].items()
            failed += [f"{name}, {step}" for step, said in steps if said.startswith("failed")]
    finally:
        if not _KEEP.value:
            shutil.rmtree(folder)
    print(f"Failed: {'; '.join(failed)}." if failed else "All that could be installed passed.")
    return 1 if failed else 0


def tried(row, folder, path):
    """A row's result: date, versions, outcome of each step, or why it could not be installed."""
    result = {"date": f"{datetime.date.today()}", "versions": {}, "steps": {}, "error": ""}
    print(f"{row.name}: installing", flush=True)
    try:
        python = making.make(row, folder, path, EXTRAS)
    except Failed as failure:
        result["error"] = str(failure)
        print(f"{row.name}: could not be installed: {failure}", flush=True)
        return result
    result["versions"] = _versions(python)
    away = folder / "away"
    away.mkdir()
    tool = [python, "-P", "-m", "tf_bdecay"]
    for step, command, backend, cwd in (
        ("pip check", [sys.executable, "-m", "pip", "--python", python, "check"], "", away),
        ("tests", _pytest(python, TESTS), "tensorflow", ROOT),
        ("tests, JAX", _pytest(python, ANY_BACKEND), "jax", ROOT),
        ("tf-bdecay train", [*tool, "train", *SMALL], "tensorflow", away),
        ("tf-bdecay sharpness", [*tool, "sharpness", *MEASURE], "tensorflow", away),
    ):
        result["steps"][step] = _said(command, backend, cwd)
        print(f"{row.name}: {step}: {result['steps'][step]}", flush=True)
    if not _KEEP.value:
        shutil.rmtree(folder)
    return result


def _pytest(python, tests):
    options = ["-q", "-m", "not slow", "-p", "no:cacheprovider", "--no-header", "-W", "ignore"]
    return [python, "-m", "pytest", *options, *tests]


def _said(command, backend, cwd):
    """The outcome of a step: how many tests passed, or how it failed."""
    env = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""}
    try:
        said = making.run(command, cwd=cwd, env=env)
    except Failed as failure:
        return f"failed: {failure}"
    passed = re.search(r"(\d+) passed", said)
    return f"{passed[1]} passed" if passed else "passed"


def _versions(python):
    """Dict of each package and of Python to its version."""
    code = (
        "import importlib.metadata as m, json, platform\n"
        f"there = {{d.name.lower(): d.version for d in m.distributions()}}\n"
        f"found = {{name: there.get(name, '') for name in {page.PACKAGES!r}}}\n"
        "print(json.dumps({'python': platform.python_version(), **found}))"
    )
    return json.loads(making.run([python, "-c", code]))


if __name__ == "__main__":
    commands.run("matrix.py", main)
