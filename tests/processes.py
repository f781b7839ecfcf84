"""Processes that a test starts and that do not outlive it."""

import contextlib
import os
import pathlib
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[1]


def ended(arguments, timeout=600, **environment):
    """A Python process of this checkout that has ended, with what it said.

    Args:
        arguments: list of the interpreter's arguments, such as ["-c", code].
        timeout: seconds after which it is killed and the test fails.
        **environment: variables that it has besides those of the tests.

    Returns:
        The `subprocess.CompletedProcess`, whatever its exit code.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextlib.contextmanager
def running(command, **arguments):
    """A process that is killed in the end, whatever became of the test.

    Args:
        command: list of strings.
        **arguments: as of `subprocess.Popen`.

    Yields:
        The Popen.
    """
    process = subprocess.Popen(command, **arguments)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_until(process, words, seconds=300):
    """Reads the lines of a process' stdout up to the first with these words.

    Raises:
        AssertionError: the process ended before, or was killed at the deadline, and what it said.
    """
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    said = []
    try:
        while not said or words not in said[-1]:
            line = process.stdout.readline()
            assert line, f"{words!r} was not said in {seconds} s: {''.join(said)[-3000:]}"
            said.append(line)
    finally:
        timer.cancel()
    return said
