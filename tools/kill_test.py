"""Kills training runs with SIGKILL at random moments and compares them with undisturbed runs.

    python tools/kill_test.py --kills=20
    python tools/kill_test.py --kills=2 --cases=plain --seed=1

Each case first trains ResNet18 on the digits undisturbed. Then the same command is killed while it
starts, trains or saves, and is run again until it finishes; this is repeated in new runs until the
kills are used up. Weights, moments, decisions, every CSV column except times and speeds, and every
(tag, step, value) of the event files must be the same, bit for bit. In the case `faults`, every
fault of tools/kills/faults.py follows a kill, with as many more kills as that takes, and the next
start must say about it what is stated there.
Exit codes: 0 all the same, 1 a difference, 2 input that cannot be used.
"""

import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from absl import flags
from rich import box
from rich.table import Table

from tf_bdecay.errors import require, unknown
from tf_bdecay.terminal.plain_text import plain_console
from tools import commands
from tools.kills import victim

SMALL = [
    "--config.model.width=16",
    "--config.batch_size=256",
    "--config.epochs=4",
    "--config.learning_rate.peak=0.02",
    "--config.decay.threshold=0.01",
    "--config.log.summaries_every=2",
    "--config.log.checkpoint_updates=2",
    "--config.log.evaluate_every=2",
]
# Each case by name, with the flags of main.py that it adds.
CASES = {
    "plain": [],
    "accumulated": ["--config.micro_batch_size=64"],
    "float16": ["--config.precision=mixed_float16"],
    "mirrored": ["--strategy=mirrored", "--logical_devices=2"],
    "workers": [],
    "faults": [],
}
WORKERS = {"workers": 2}  # cases that tools/launch.py starts, with their number of processes
FAULTY = ("faults",)  # cases in which something else goes wrong after a kill

_KILLS = flags.DEFINE_integer("kills", 20, "Number of kills in each case.")
_CASES = flags.DEFINE_list("cases", list(CASES), f"Cases to run, out of {', '.join(CASES)}.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the random moments.")
_FOLDER = flags.DEFINE_string(
    "folder", None, "New or empty folder to keep the runs in; a temporary one by default."
)


def main(rest):
    """Runs the cases and prints a table."""
    require(len(rest) == 1, f"kill_test.py takes flags only. Received: {' '.join(rest[1:])}")
    require(_KILLS.value > 0, f"--kills must be >= 1. Received: {_KILLS.value}")
    for name in _CASES.value:
        if name not in CASES:
            raise unknown("case", name, CASES)
    folder = pathlib.Path(_FOLDER.value or tempfile.mkdtemp(prefix="kill_test-")).resolve()
    require(
        not folder.exists() or not any(folder.iterdir()),
        f"--folder must be new or empty. Received: {_FOLDER.value}",
    )
    rows = [row for name in _CASES.value for row in run_case(name, folder / name)]
    print_table(rows)
    failed = any(row["differences"] for row in rows)
    if not failed and not _FOLDER.value:
        shutil.rmtree(folder)
    else:
        print(f"The runs are in {folder}.")
    return 1 if failed else 0


def run_case(name, folder):
    """Kills the runs of a case.

    Args:
        name: the case's name.
        folder: `pathlib.Path` of a new folder for its runs.

    Returns:
        List of dicts, one for each run.
    """
    from tools.kills import compare, faults  # they need TensorFlow, which takes seconds to import

    folder.mkdir(parents=True)
    arguments = [*SMALL, *CASES[name]]
    count = WORKERS.get(name, 0)
    path = folder / "uninterrupted"
    expected = victim.Victim(arguments, path, path.with_suffix(".log"), count)
    code, times = expected.clock()
    if code:
        return [_row(name, 0, {}, 0, [f"the run without kills: {_how(code, expected)}"])]
    print(f"{name}: {times.start:.0f} s to the first checkpoint, {times.training:.0f} s from there")
    rng, left, rows = random.Random(f"{_SEED.value} {name}"), _KILLS.value, []
    waiting = list(faults.FAULTS) if name in FAULTY else []
    while left or waiting:
        began = time.monotonic()
        path = folder / f"run{len(rows)}"
        other = victim.Victim(arguments, path, path.with_suffix(".log"), count)
        kills = dict.fromkeys(victim.MOMENTS, 0)
        code, fault, unmet = None, None, []
        while code is None:
            # A start after a fault must live long enough to report it.
            moment = rng.choice(victim.MOMENTS[1:] if fault else victim.MOMENTS)
            before = len(other.said)
            if fault is faults.no_terminal:
                code = other.run_without_stdout()
            else:
                code = other.run(moment if left or waiting else None, rng.random(), times)
            unmet += faults.unmet(fault, other.said[before:]) if fault else []
            fault = None
            if code is None:
                left = max(left - 1, 0)
                kills[moment] += 1
                print(f"{name}: killed ({moment}), {left} kills to go", flush=True)
                if waiting and faults.can_be_played(path):
                    fault = waiting.pop(0)
                    fault(path)
                    print(f"{name}: {fault.__name__}: {fault.__doc__}", flush=True)
        found = [_how(code, other)] if code else compare.differences(expected.path, other.path)
        rows.append(_row(name, len(rows), kills, time.monotonic() - began, unmet + found))
    return rows


def print_table(rows):
    """Prints a row for each run, and the differences below the table."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("case", "run", *victim.MOMENTS, "seconds", "differences"):
        table.add_column(column, justify="left" if column == "case" else "right")
    for row in rows:
        kills = [str(row["kills"].get(moment, 0)) for moment in victim.MOMENTS]
        numbers = (str(row["run"]), *kills, f"{row['seconds']:.0f}", str(len(row["differences"])))
        table.add_row(row["case"], *numbers)
    console = plain_console()
    console.print(table)
    for row in rows:
        for sentence in row["differences"][:10]:
            console.print(f"{row['case']} run {row['run']}: {sentence}", markup=False)


def _row(case, run, kills, seconds, differences):
    return dict(case=case, run=run, kills=kills, seconds=seconds, differences=differences)


def _how(code, run):
    last = run.logs.read_text().strip().splitlines()[-1:]
    return f"exit code {victim.name_of(code)}: {' '.join(last)}"


if __name__ == "__main__":
    commands.run("kill_test.py", main)
