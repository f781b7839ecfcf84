"""Runs one command of main.py again and again, and kills it at random moments."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOMENTS = ("start", "training", "saving")
LIMIT_SECONDS = 600


@dataclasses.dataclass
class Victim:
    """A run that can be killed.

    Attributes:
        flags: flags of main.py, without its workdir.
        path: `pathlib.Path` of its workdir.
        logs: `pathlib.Path` of the file for stdout and stderr.
        workers: how many processes tools/launch.py starts; 0 to start main.py itself.
    """

    flags: list
    path: pathlib.Path
    logs: pathlib.Path
    workers: int = 0

    def run(self, moment=None, share=0.0, times=None):
        """Starts the command and waits for its end, or kills it.

        Args:
            moment: when to kill it: "start" is within the time to the first checkpoint, "training"
                is after a checkpoint of this start, "saving" is while a checkpoint is being
                written; None is never.
            share: in [0, 1), how far into that stretch of time.
            times: `Times` of a run that was not killed; needed with a moment.

        Returns:
            The exit code, or None if it was killed.

        Raises:
            TimeoutError: the command did not end.
        """
        with self._started() as process:
            self._wait(process, moment, share, times)
            killed = process.poll() is None
        return None if killed else process.returncode

    def run_without_stdout(self):
        """Starts the command, closes its stdout when it begins to train, and waits for its end.

        Returns:
            The exit code.
        """
        with self._started(stdout=subprocess.PIPE) as process:
            for line in process.stdout:
                if line.startswith(b"workdir "):  # the last line before training
                    break
            process.stdout.close()
            _until(lambda: _over(process))
        return process.returncode

    @property
    def said(self):
        """What all starts wrote to stdout and stderr, followed by errors.log."""
        files = [self.logs, self.path / "errors.log"]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def clock(self):
        """Runs the command without a kill, and measures its times.

        Returns:
            The exit code and the `Times`.
        """
        began = time.monotonic()
        with self._started() as process:
            _until(lambda: _over(process) or self._saved())
            first = time.monotonic()
            _until(lambda: _over(process))
        return process.returncode, Times(first - began, time.monotonic() - first)

    @contextlib.contextmanager
    def _started(self, stdout=None):
        """Starts the process, which is dead when the context ends."""
        program = ["main.py"]
        if self.workers:
            program = ["tools/launch.py", f"--workers={self.workers}", "--"]
        command = [sys.executable, *program, f"--workdir={self.path}", *self.flags]
        with open(self.logs, "a") as logs:
            process = subprocess.Popen(command, cwd=ROOT, stdout=stdout or logs, stderr=logs)
            try:
                yield process
            finally:
                for child in _children(process):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                process.kill()
                process.wait()

    def _wait(self, process, moment, share, times):
        """Waits for the moment, or for the end."""

        def next_save():
            before = self._saved()
            _until(lambda: _over(process) or self._saved() != before)

        def some_seconds(seconds):
            deadline = time.monotonic() + seconds
            _until(lambda: _over(process) or time.monotonic() > deadline)

        if moment == "start":
            some_seconds(share * times.start)
        elif moment == "training":
            next_save()
            some_seconds(share * times.training)
        elif moment == "saving":
            for _ in range(1 + int(share * 4)):  # skips a save, or the run would never advance
                next_save()
            _until(lambda: _over(process) or self._writing())
        else:
            _until(lambda: _over(process))

    def _saved(self):
        """A value that changes with every checkpoint."""
        try:
            return (self.path / "checkpoints" / "kept.json").stat().st_ino
        except FileNotFoundError:
            return None

    def _writing(self):
        return any((self.path / "checkpoints").glob(".*.part"))


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds to the first checkpoint, and from there to the end of the run."""

    start: float
    training: float


def name_of(code):
    """The name of the signal that an exit code stands for, or else the code."""
    return signal.Signals(-code).name if code < 0 else str(code)


def _children(process):
    """The ids of the workers that a launcher has started, which would outlive it."""
    if process.poll() is not None:
        return []
    process.send_signal(signal.SIGSTOP)  # or it would see one die and end the others
    listed = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        return [int(child) for child in listed.read_text().split()]
    except OSError:
        return []


def _over(process):
    return process.poll() is not None


def _until(condition):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"The run did not end within {LIMIT_SECONDS} s.")
        time.sleep(0.001)
