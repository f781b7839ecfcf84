"""Time from the start of a process to the end of its first update: main.py and plain Keras.

Every call starts a fresh process, and the alternatives take turns. The first update of main.py ends
at the wall time of its TensorBoard event; the run is killed once that event is on the disk.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from tf_bdecay.errors import require
from tools.benchmarks.timing import rows_of

PROBLEMS = {"digits": 16, "digits_width64": 64}  # width of ResNet18
BATCH = 448
MOST = 2  # repeats at most: a process takes up to half a minute
ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(problems, repeats):
    """Rows for each problem; the reference is a plain Keras program."""
    rows = []
    for problem in problems:
        width = PROBLEMS[problem]
        name = f"first update: ResNet18, width {width}, digits, batch {BATCH}"
        rows += _interleave(name, _cases(width), min(repeats, MOST))
    return rows


def _cases(width):
    """Functions that start a process and return the seconds from its start to the measured end."""
    config = [
        "main.py",
        "--config=configs/digits_resnet18.py",
        f"--config.model.width={width}",
        f"--config.batch_size={BATCH}",
        "--config.epochs=1",
    ]
    plain = ["tools/benchmarks/plain_keras.py", f"--width={width}", f"--batch_size={BATCH}"]
    return {
        "plain Keras, keras.optimizers.Lamb": lambda: _until_it_says_when(plain),
        "main.py": lambda: _until_first_update(config),
        "main.py --dry_run, whole": lambda: _whole([*config, "--dry_run"]),
        "limit: import tensorflow, keras": lambda: _whole(["-c", "import tensorflow, keras"]),
    }


def _until_it_says_when(arguments):
    start = time.time()
    return float(_output(arguments)) - start


def _whole(arguments):
    start = time.time()
    _output(arguments)
    return time.time() - start


def _until_first_update(arguments):
    with tempfile.TemporaryDirectory() as folder:
        workdir = pathlib.Path(folder) / "run"
        start = time.time()
        # Saving a checkpoint after each update flushes its event to the disk.
        process = _start(
            [
                *arguments,
                "--config.log.summaries_every=1",
                "--config.log.checkpoint_updates=1",
                f"--workdir={workdir}",
            ]
        )
        try:
            ended = None
            while ended is None:
                over = process.poll() is not None
                ended = _first_update(workdir / "tensorboard")
                require(
                    ended or not over,
                    f"main.py ended with exit code {process.poll()} before its first update.",
                )
                time.sleep(0.2)
        finally:
            process.kill()
            process.wait()
    return ended - start


def _first_update(folder):
    """The wall time of the first update's event; None if it is not on the disk yet."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            if event.step == 1:
                return event.wall_time
    return None


def _output(arguments):
    process = _start(arguments)
    output, _ = process.communicate()
    require(
        process.returncode == 0,
        f"`python {' '.join(arguments)}` ended with exit code {process.returncode}.",
    )
    return output


def _start(arguments):
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _interleave(problem, cases, repeats):
    """Like `timing.interleave`, for cases that time themselves."""
    first = {name: case() for name, case in cases.items()}
    times = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            times[name].append(case())
    return rows_of(problem, first, times)
