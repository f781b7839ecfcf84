"""Mutation testing: checks whether the tests notice small changes of the code: docs/mutation.md.

    make test-mutants
    python tools/mutation.py MUTANTS.json --jobs=2      # mutants that tools/mutating/draw.py drew

A mutant is the code with one operator, number or condition changed. It is killed if a test of its
part fails or does not end, and survives if all pass; a mutant that cannot be imported is not
counted. Each is tried in a copy of the package and its tests, by a fork of a process that has
imported TensorFlow and Keras, so that most end within seconds. Results are kept: the same command
continues where it stopped, and tries survivors again.
Exit codes: 0 at least 90 % are killed, 1 fewer, 2 input that cannot be used.
"""

import importlib
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from absl import flags

from tf_bdecay.errors import BadInput, require
from tf_bdecay.frameworks import quirks
from tools import commands, machine
from tools.mutating import page
from tools.mutating.targets import TARGETS

_JOBS = flags.DEFINE_integer("jobs", 1, "Number of mutants to try at a time, each on one core.")
_OUT = flags.DEFINE_string("out", "docs", "Folder for mutation.json and mutation.md.")
_SECONDS = 600  # limit for the tests without a mutant
_SLOWEST = 3  # with a mutant, tests may take this many times as long
_ENOUGH = 0.9
_NOT_IMPORTED = 100
_COPIED = ("tf_bdecay", "tests", "tools", "configs")
_EXITS = {0: page.SURVIVED, _NOT_IMPORTED: page.NO_IMPORT}  # any other code means killed
TESTS = {target.name: target.tests for target in TARGETS}


def main(rest):
    """Tries the mutants of a file; returns the exit code."""
    require(len(rest) == 2, "Name the file of mutants: tools/mutation.py MUTANTS.json")
    drawn = _read(rest[1])
    out = pathlib.Path(_OUT.value)
    keys = {page.key(mutant) for mutant in drawn["mutants"]}
    # A result of other code is none of this.
    kept = {key: entry for key, entry in page.read(out).items() if key in keys}
    commit = machine.commit()
    pending = [
        mutant
        for mutant in drawn["mutants"]
        if kept.get(page.key(mutant), {}).get("result", page.SURVIVED) == page.SURVIVED
    ]
    limits = _limits({m["target"] for m in pending})
    forks = (Fork(TESTS[m["target"]], limits[m["target"]], m) for m in pending)
    for done, fork in enumerate(ended(forks, _JOBS.value), 1):
        mutant = fork.mutant
        kept[page.key(mutant)] = page.entry(mutant, fork.word, ROOT)
        page.write(out, kept, drawn["of"], commit)
        where = f"{mutant['module']}:{mutant['line']}"
        print(f"{done}/{len(pending)} {fork.word} in {fork.seconds:.0f} s: {where}", flush=True)
    killed, counted = page.counts(kept.values())
    print(f"{killed} of {counted} mutants are killed, {killed / max(counted, 1):.1%}.")
    return 0 if killed >= _ENOUGH * counted else 1


def _read(path):
    try:
        drawn = json.loads(pathlib.Path(path).read_text())
        drawn["of"], drawn["mutants"][0]["source"]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BadInput(
            f"{path} is no file of mutants: tools/mutating/draw.py makes one."
        ) from error
    return drawn


def _limits(targets):
    """Dict of target to the seconds its tests may take, from a run of them without a mutant."""
    found = {}
    forks = {Fork(TESTS[name], _SECONDS): name for name in sorted(targets)}
    for fork in ended(iter(forks), _JOBS.value):
        name = forks[fork]
        tests = " ".join(TESTS[name])
        require(fork.word == page.SURVIVED, f"{tests} fail without a mutant: fix them first.")
        found[name] = max(_SLOWEST * fork.seconds, 30)
        print(f"{name}: {fork.seconds:.0f} s without a mutant", flush=True)
    return found


class Fork:
    """A run of tests in a fork of this process and a folder of its own, with a mutant of a module.

    Args:
        tests: paths of the test files.
        limit: seconds after which the tests are killed and count as not ending.
        mutant: dict with `module` and `source`; None for the code as it is.

    Attributes:
        word: the mutant's result; None until the tests have ended.
        seconds: how long the tests took.
    """

    word, seconds = None, 0.0

    def __init__(self, tests, limit, mutant=None):
        self.tests, self.limit, self.mutant = tests, limit, mutant

    def start(self):
        """Copies what the tests need, writes the mutant over its module, and forks."""
        self._begun = time.monotonic()
        self._tree = tempfile.TemporaryDirectory(prefix="mutant-")
        for name in _COPIED:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, pathlib.Path(self._tree.name, name), ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", self._tree.name)
        module = None
        if self.mutant is not None:
            module = self.mutant["module"]
            pathlib.Path(self._tree.name, module).write_text(self.mutant["source"])
        self._pid = os.fork()
        if self._pid == 0:
            os._exit(_in_child(self._tree.name, self.tests, module))

    def has_ended(self):
        """Whether the tests have ended; kills them after the limit."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        self.seconds = time.monotonic() - self._begun
        if pid:
            self.word = _EXITS.get(os.waitstatus_to_exitcode(status), page.KILLED)
        elif self.seconds > self.limit:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self.word = page.KILLED
        if self.word is not None:
            self._tree.cleanup()
        return self.word is not None


def ended(forks, jobs):
    """Starts the forks of an iterator, `jobs` at a time, and yields each when it has ended."""
    running = []
    while True:
        while len(running) < jobs and (fork := next(forks, None)) is not None:
            fork.start()
            running.append(fork)
        if not running:
            return
        time.sleep(0.05)
        for fork in [fork for fork in running if fork.has_ended()]:
            running.remove(fork)
            yield fork


def _in_child(tree, tests, module):
    """Runs the tests; returns pytest's exit code, or another if the mutant cannot be imported."""
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    os.chdir(tree)
    sys.path[:] = [tree, *(path for path in sys.path if path != str(ROOT))]
    os.environ["PYTHONPATH"] = tree  # for processes that the tests start
    for name in [n for n in sys.modules if n.split(".")[0] in ("tf_bdecay", "tools", "tests")]:
        del sys.modules[name]
    if module is not None:
        try:
            importlib.import_module(module.removesuffix(".py").replace("/", "."))
        except Exception:
            return _NOT_IMPORTED
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
    return int(pytest.main([*options, *tests]))


if __name__ == "__main__":
    quirks.avoid_onednn()
    import hypothesis  # these imports save the forks from doing them again
    import keras
    import pytest
    import tensorflow

    del hypothesis, keras, pytest, tensorflow
    commands.run("mutation.py", main)
