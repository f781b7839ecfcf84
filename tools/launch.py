"""Starts main.py as many worker processes on this machine, and shows their logs apart.

    python tools/launch.py --workers=2 -- --config.model.width=16 --config.epochs=2
    python tools/launch.py --workers=2 --restarts=3 -- --config=configs/cifar10_resnet18.py:adaptive

What stands behind `--` goes to every worker, with --strategy=multi_worker and a TF_CONFIG of free
ports. The first worker that fails gives its exit code: the others are ended, by SIGKILL where they
do not go within --grace seconds. Where a worker was killed or lost (not where the input was bad, or
the run was told to stop) all start again, at most --restarts times, and go on from the newest
checkpoint. SIGINT, SIGTERM and SIGHUP are handed on once to every worker, which then saves and
ends. Exit codes: 0 all done, 128 + n a worker ended by signal n, else those of main.py. Workers
get SIGTERM where the launcher itself is killed.
"""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from absl import flags

from tf_bdecay.distribution import cluster
from tf_bdecay.errors import require
from tools import commands
from tools.launching import processes

_WORKERS = flags.DEFINE_integer("workers", 2, "How many processes.")
_RESTARTS = flags.DEFINE_integer("restarts", 0, "How often to start again after a loss.")
_GRACE = flags.DEFINE_float("grace", 60.0, "Seconds for the others to end by themselves.")
_OURS = ("strategy", "workers", "worker_index", "logical_devices")


def main(rest):
    """Runs the workers, and starts them again where that helps."""
    arguments = rest[1:]
    _check(arguments)
    command = [sys.executable, str(ROOT / "main.py"), "--strategy=multi_worker", *arguments]
    return processes.run(command, _WORKERS.value, _GRACE.value, _RESTARTS.value)


def _check(arguments):
    """Raises `BadInput` for what cannot be run."""
    require(_WORKERS.value >= 1, f"--workers must be >= 1. Received: {_WORKERS.value}")
    require(_RESTARTS.value >= 0, f"--restarts must be >= 0. Received: {_RESTARTS.value}")
    require(_GRACE.value > 0, f"--grace must be > 0. Received: {_GRACE.value}")
    require(
        cluster.VARIABLE not in os.environ,
        f"launch.py writes {cluster.VARIABLE} for its workers, and it is set already: unset it, or "
        "start main.py --strategy=multi_worker itself.",
    )
    for argument in arguments:
        name = argument.lstrip("-").partition("=")[0]
        require(
            name not in _OURS,
            f"--{name} is launch.py's to say to main.py: leave it out behind `--`.",
        )


def _rest(argv):
    """Parses the flags; what is left is main.py's."""
    rest = flags.FLAGS(argv)
    before = argv[: argv.index("--")] if "--" in argv else argv
    strange = [a for a in before[1:] if not a.startswith("-")]
    strange = [a for a in strange if before[before.index(a) - 1].strip("-") not in flags.FLAGS]
    require(
        not strange,
        f"launch.py takes main.py's flags behind `--`. Received: {' '.join(strange)}",
    )
    return rest


if __name__ == "__main__":
    commands.run("launch.py", main, _rest)
