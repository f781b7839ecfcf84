"""Processes that a test starts and that do not outlive it."""

import contextlib
import subprocess
import threading


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
