"""The short run of main.py that several tests start: ResNet18 of width 4, digits, 12 updates."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]

TINY = [
    "--config.model.width=4",
    "--config.epochs=4",
    "--config.batch_size=448",
    "--config.learning_rate.peak=0.02",
    "--config.decay.threshold=0.01",
    "--config.log.summaries_every=1",
]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "main.py", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def contents(path):
    return {p: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
