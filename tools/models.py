"""Tries every feature with models of many kinds: docs/models.md.

    python tools/models.py
    python tools/models.py --models=ViT,GAN --features=fit,mirrored

Each model has a process of its own. What is not asked for keeps the result that docs/models.json
has. Models of keras-hub need that package; without it they are said to be untried.
Exit codes: 0 all work or are refused in a sentence, 1 something failed, 2 input that cannot be
used.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from absl import flags

from tf_bdecay.errors import require, unknown
from tools import commands
from tools.trying import page

_MODELS = flags.DEFINE_list("models", None, "Which models; all.")
_FEATURES = flags.DEFINE_list("features", None, "Which features; all.")


def main(rest):
    """Tries the models that were asked for."""
    require(not rest[1:], f"models.py takes flags only. Received: {' '.join(rest[1:])}")
    models, features = page.MODELS, page.FEATURES
    for kind, chosen, known in (
        ("model", _MODELS.value, models),
        ("feature", _FEATURES.value, features),
    ):
        for name in chosen or ():
            if name not in known:
                raise unknown(kind, name, known)
    failed = []
    for name in _MODELS.value or models:
        begun = time.monotonic()
        for feature, (word, said) in tried(name, _FEATURES.value or features).items():
            page.keep(ROOT / "docs", name, feature, word, said)
            print(f"{name}, {feature}: {word}{said and f': {said}'}", flush=True)
            failed += [f"{name}, {feature}"] if word == page.FAILS else []
        print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
    print(f"Failed: {'; '.join(failed)}." if failed else "All work, or are refused in a sentence.")
    return 1 if failed else 0


def tried(name, features):
    """Dict of feature to its word and sentence, from a process of its own."""
    env = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "tools.trying.child", name, *features]
    found = {feature: (page.FAILS, "its process ended") for feature in features}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("{"):
                one = json.loads(line)
                found[one["feature"]] = one["word"], one["said"]
    return found


if __name__ == "__main__":
    commands.run("models.py", main)
