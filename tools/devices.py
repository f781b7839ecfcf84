"""Checks that training is the same on one device, with replicas, workers and micro-batches.

    python tools/devices.py                                      # on the digits
    python tools/devices.py --data=cifar10 --data_dir=DIR --epochs=2

The first part trains for 20 updates at a constant rate of 0.01, with ghost batch normalization,
adaptive decay that switches both ways, and smooth activations (a kink would amplify rounding). It
compares the change of the weights, the decisions and the losses with those of one device. The
second part trains for --epochs epochs with the usual schedule and shows the test accuracy of each
way beside that of one device with several seeds.
Exit codes: 0 all the same, 1 a difference, 2 input that cannot be used.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from absl import flags
from rich.table import Table

from tf_bdecay.errors import require, unknown
from tf_bdecay.frameworks import quirks
from tf_bdecay.launching import processes
from tf_bdecay.terminal import outcome
from tf_bdecay.terminal.plain_text import plain_console
from tools import commands

quirks.avoid_onednn()  # narrow strided convolutions

UPDATES, RATE, THRESHOLD, TOLERANCE, MARGIN = 20, 0.01, 0.02, 1e-4, 1e-3
# (strategy, number of replicas or workers, micro-batches of each)
WAYS = {
    "one device": ("none", 1, 1),
    "2 replicas": ("mirrored", 2, 1),
    "4 replicas": ("mirrored", 4, 1),
    "2 workers": ("multi_worker", 2, 1),
    "4 micro-batches": ("none", 1, 4),
    "2 replicas x 4 micro-batches": ("mirrored", 2, 4),
    "2 workers x 2 micro-batches": ("multi_worker", 2, 2),
}
SEEDS = 3  # of the runs on one device

_DATA = flags.DEFINE_string("data", "digits", "Data set: digits, cifar10 or cifar100.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with the prepared CIFAR sets.")
_BATCH = flags.DEFINE_integer(
    "batch_size", 256, "Size of the global batch, a multiple of 256.", lower_bound=256
)
_EPOCHS = flags.DEFINE_integer("epochs", 2, "Epochs of the second part.", lower_bound=1)
_WAYS = flags.DEFINE_list(
    "ways", list(WAYS), f"Ways to train, out of {', '.join(WAYS)}; the first is always run."
)


def main(rest):
    """Runs all ways and prints two tables."""
    require(not rest[1:], f"devices.py takes flags only. Received: {' '.join(rest[1:])}")
    require(
        _BATCH.value % 256 == 0,  # 8 micro-batches, each a whole ghost batch of 32
        f"--batch_size must be a multiple of 256. Received: {_BATCH.value}",
    )
    for way in _WAYS.value:
        if way not in WAYS:
            raise unknown("way", way, WAYS)
    with tempfile.TemporaryDirectory() as folder:
        same = _compare(pathlib.Path(folder))
    return 0 if same else 1


def _compare(folder):
    ways = [way for way in WAYS if way in _WAYS.value and way != "one device"]
    one = _run("one device", folder)
    table = Table("way", "change of theta", "decisions", "losses", "copies", "the same")
    same = True
    for way in ways:
        other = _run(way, folder)
        changes = zip(_arrays(one, "change"), _arrays(other, "change"), strict=True)
        change = max(np.linalg.norm(a - b) / np.linalg.norm(a) for a, b in changes)
        decisions = (one["on"] == other["on"]).all()
        losses = np.abs(one["losses"] - other["losses"]).max()
        copies = bool(other["copies"])
        fine = change < TOLERANCE and decisions and losses < TOLERANCE and copies
        same &= bool(fine)
        words = "equal" if decisions else "DIFFER", f"{losses:.1e}", "equal" if copies else "APART"
        table.add_row(way, f"{change:.1e}", *words, "yes" if fine else "NO")
    margin = np.abs(one["ratios"] / THRESHOLD - 1).min()
    console = plain_console(width=110)
    console.print(
        f"{_DATA.value}, batch {_BATCH.value}, first {UPDATES} updates at {RATE}: beta decay on in "
        f"{one['on'].mean():.0%} of layer-updates; the least |r/R - 1| is {margin:.1g}"
    )
    console.print(table)
    table = Table("way", "seed", "test accuracy", title=f"after {_EPOCHS.value} epochs")
    for seed in range(SEEDS):
        accuracy = _run("one device", folder, seed, _EPOCHS.value)["accuracy"]
        table.add_row("one device", str(seed), f"{float(accuracy):.4f}")
    for way in ways:
        table.add_row(way, "0", f"{float(_run(way, folder, 0, _EPOCHS.value)['accuracy']):.4f}")
    console.print(table)
    decay_was_tested = 0 < one["on"].mean() < 1 and margin > MARGIN
    console.print("All the same." if same and decay_was_tested else "NOT all the same.")
    return same and decay_was_tested


def _arrays(found, name):
    return [found[key] for key in sorted(found) if key.startswith(f"{name}/")]


def _run(way, folder, seed=0, epochs=0):
    """Trains one way in one or several processes of its own; returns a dict of arrays."""
    strategy, count, parts = WAYS[way]
    out = folder / "found.npz"
    arguments = dict(
        strategy=strategy,
        devices=count,
        micro_batch_size=_BATCH.value // (count * parts) if parts > 1 else None,
        seed=seed,
        epochs=epochs,
        updates=UPDATES,
        rate=RATE,
        threshold=THRESHOLD,
        batch_size=_BATCH.value,
        name=_DATA.value,
        data_dir=_DATA_DIR.value,
        out=str(out),
    )
    command = [sys.executable, str(ROOT / "tools/train_one_way.py"), json.dumps(arguments)]
    if strategy == "multi_worker":
        code = processes.run(command, count)
    else:
        code = subprocess.run(command).returncode
    require(code != outcome.BAD_INPUT, f"{way} was refused, for the reason above.")
    if code:
        print(f"{way} ended with exit code {code}, for the reason above.", file=sys.stderr)
        sys.exit(outcome.FAILED)
    return dict(np.load(out))


if __name__ == "__main__":
    commands.run("devices.py", main)
