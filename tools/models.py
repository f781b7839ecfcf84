"""Tries every feature with models of many kinds: docs/models.md.

    python tools/models.py
    python tools/models.py --models=ViT,GAN --features=fit,mirrored

Each model runs in a process of its own, and each result is saved at once. Models and features that
are not chosen keep their result in docs/models.json. Models of keras-hub need that package; without
it they count as untried, and so does a feature that takes longer than --limit.
Exit codes: 0 all work or are refused in a sentence, 1 something failed, 2 input that cannot be
used.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from absl import flags

from tf_bdecay.errors import require, unknown
from tf_bdecay.launching import processes
from tools import commands
from tools.trying import page

_MODELS = flags.DEFINE_list("models", None, "Models to try; all by default.")
_FEATURES = flags.DEFINE_list("features", None, "Features to try; all by default.")
_LIMIT = flags.DEFINE_integer("limit", 1800, "Most seconds that a feature may take.", 1)


def main(rest):
    """Tries the chosen models; returns the exit code."""
    require(not rest[1:], f"models.py takes flags only. Received: {' '.join(rest[1:])}")
    models, features = page.MODELS, page.FEATURES
    for kind, chosen, known in (
        ("model", _MODELS.value, models),
        ("feature", _FEATURES.value, features),
    ):
        for name in chosen or ():
            if name not in known:
                raise unknown(kind, name, known)
    failed, untried = [], []
    for name in _MODELS.value or models:
        begun = time.monotonic()
        for feature, (word, said) in tried(name, _FEATURES.value or features, _LIMIT.value):
            page.keep(ROOT / "docs", name, feature, word, said)
            print(f"{name}, {feature}: {word}{said and f': {said}'}", flush=True)
            for kind, found in ((page.FAILS, failed), (page.UNTRIED, untried)):
                found += [f"{name}, {feature}"] if word == kind else []
        print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
    if untried:
        print(f"Untried: {'; '.join(untried)}.")
    fine = "Everything that was tried works or is refused in a sentence."
    print(f"Failed: {'; '.join(failed)}." if failed else fine)
    return 1 if failed else 0


def tried(name, features, limit):
    """Yields each feature with its word and sentence as soon as they are known.

    A process that dies, or is killed at the limit, loses only the feature that it was trying.
    """
    left = list(features)
    while left:
        over = threading.Event()
        with (
            tempfile.TemporaryFile("w+") as errors,
            _started(name, left, errors) as process,
        ):
            timer = _ended_after(limit, process, over)
            for line in process.stdout:
                if line.startswith("{"):
                    timer.cancel()
                    one = json.loads(line)
                    left.remove(one["feature"])
                    yield one["feature"], (one["word"], one["said"])
                    timer = _ended_after(limit, process, over)
            timer.cancel()
            process.wait()
            if left and over.is_set():
                yield left.pop(0), (page.UNTRIED, f"It took more than {limit} s.")
            elif left:
                yield left.pop(0), (page.FAILS, f"Its process ended: {_why(process, errors)}.")


def _why(process, errors):
    """The last line of what a process wrote to stderr, or how it ended."""
    errors.seek(0)
    lines = errors.read().strip().splitlines()
    told = process.returncode > 0 and lines
    return lines[-1].rstrip(".") if told else processes.ended_by(process.returncode)


def _started(name, features, errors):
    env = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "tools.trying.child", name, *features]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=errors, text=True)


def _ended_after(limit, process, over):
    def end():
        over.set()
        process.kill()

    timer = threading.Timer(limit, end)
    timer.daemon = True
    timer.start()
    return timer


if __name__ == "__main__":
    commands.run("models.py", main)
