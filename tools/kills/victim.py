"""Runs main.py and kills it at random moments, the same command again and again."""

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
    """A run that is killed.

    Attributes:
        flags: of main.py, its workdir left out.
        path: its workdir, a `pathlib.Path`.
        logs: file to which stdout and stderr go, a `pathlib.Path`.
        workers: how many processes tools/launch.py starts; 0 for main.py itself.
    """

    flags: list
    path: pathlib.Path
    logs: pathlib.Path
    workers: int = 0

    def run(self, moment=None, share=0.0, times=None):
        """Starts the command and waits for its end, or kills it.

        Args:
            moment: None for no kill; "start": within the time to the first checkpoint; "training":
                after a checkpoint of this start; "saving": while a checkpoint is being written.
            share: in [0, 1), when within that stretch.
            times: `Times` of a run that was not killed; needed with a moment.

        Returns:
            The exit code, or None where it was killed.

        Raises:
            TimeoutError: it did not end.
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
                if line.startswith(b"workdir "):  # the last before training
                    break
            process.stdout.close()
            _until(lambda: _over(process))
        return process.returncode

    @property
    def said(self):
        """What all starts said, on stdout and stderr, then in errors.log."""
        files = [self.logs, self.path / "errors.log"]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def clock(self):
        """Runs without a kill.

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
        """The process, dead after the context."""
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
            for _ in range(1 + int(share * 4)):  # not the first, or the run would not advance
                next_save()
            _until(lambda: _over(process) or self._writing())
        else:
            _until(lambda: _over(process))

    def _saved(self):
        """Something that changes with every checkpoint."""
        try:
            return (self.path / "checkpoints" / "kept.json").stat().st_ino
        except FileNotFoundError:
            return None

    def _writing(self):
        return any((self.path / "checkpoints").glob(".*.part"))


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds to the first checkpoint, and from there to the end."""

    start: float
    training: float


def name_of(code):
    """An exit code in words."""
    return signal.Signals(-code).name if code < 0 else str(code)


def _children(process):
    """The ids of the workers that a launcher has started; they would outlive it."""
    if process.poll() is not None:
        return []
    process.send_signal(signal.SIGSTOP)  # or it would see one die, and end the others
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
