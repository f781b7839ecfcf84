"""Runs many processes as one: separate lines, the first failure's code, none left behind."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from tf_bdecay.distribution import cluster, workers
from tf_bdecay.terminal import signals

_COLOURS = (36, 33, 35, 32, 34, 31)  # of ANSI terminals
_SAVING_SECONDS = 600  # for a run that was told to stop and saves, in place of `grace`


class Signals:
    """The signals that came, and the processes that get them.

    Attributes:
        seen: list of the signals' numbers.
        running: list of processes.
    """

    def __init__(self):
        self.seen = []
        self.running = []

    def hand_on(self, number, frame=None):
        """Sends a signal to all processes that still run."""
        del frame
        self.seen.append(number)
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                if process.poll() is None:
                    process.send_signal(number)


@contextlib.contextmanager
def handed_on():
    """Passes signals on to the processes; each has its own session, so none gets a signal twice.

    Yields:
        The `Signals`.
    """
    found = Signals()
    before = {number: signal.signal(number, found.hand_on) for number in signals.heeded()}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def free_addresses(count):
    """Addresses on this machine with free ports."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    for one in held:
        one.close()
    return addresses


def run(command, count, grace=60.0, restarts=0):
    """Runs a command in many processes, and all of them again if one was killed or lost another.

    Args:
        command: list of strings.
        count: how many processes; each gets a TF_CONFIG of free ports.
        grace: seconds for the others to end once one has failed.
        restarts: how often to start again at most.

    Returns:
        The exit code of the first that failed, 128 + n for signal n, or 0.
    """
    with handed_on() as came:
        while True:
            addresses = free_addresses(count)
            configs = [cluster.config(addresses, i) for i in range(count)]
            code, helps = _run_once(command, configs, grace, came)
            if not helps or came.seen or not restarts:
                return code
            restarts -= 1
            _say(f"Starting all workers again; restarts left: {restarts}.")


def _run_once(command, configs, grace, came):
    """Runs a command once for each TF_CONFIG, until all have ended.

    Args:
        command: list of strings.
        configs: the TF_CONFIG of each process, before JSON.
        grace: seconds for the others to end once one has failed.
        came: the `Signals` of `handed_on`.

    Returns:
        The exit code of the first that failed, and whether it was killed or lost another.
    """
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    lock, threads, running = threading.Lock(), [], []
    for i, config in enumerate(configs):
        process = subprocess.Popen(
            command,
            env={**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=ends_with_its_parent(),
        )
        running.append(process)
        came.running = running
        prefix = f"[{i}] "
        if colour:
            prefix = f"\033[{_COLOURS[i % len(_COLOURS)]}m{prefix}\033[0m"
        thread = threading.Thread(target=_show, args=(process.stdout, prefix, lock), daemon=True)
        thread.start()
        threads.append(thread)
    try:
        return _watch(running, grace, came)
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()
        came.running = []
        for thread in threads:
            thread.join(5)  # a grandchild may hold the pipe


def ends_with_its_parent():
    """A `preexec_fn` that sends the process SIGTERM, to save and end, when its parent dies.

    None on other systems than Linux. The parent is the thread that starts the process. The library
    is loaded before the fork, because a child should do little after it.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl, launcher = ctypes.CDLL(None).prctl, os.getpid()

    def ask():
        prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG
        if os.getppid() != launcher:  # it died before we asked
            os._exit(128 + signal.SIGTERM)

    return ask


def _watch(running, grace, came):
    """Waits for all; returns the first failure's exit code, and whether a restart would help."""
    first, deadline = 0, None
    while any(process.poll() is None for process in running):
        for i, process in enumerate(running):
            if not first and process.poll():
                first = process.returncode
                how = ended_by(process.returncode)
                if len(running) > 1 and not came.seen:
                    _say(f"Worker {i} ended by {how}: waiting {grace:g} s for the others to end.")
                limit = _SAVING_SECONDS if came.seen else grace
                deadline = time.monotonic() + limit
        if deadline and time.monotonic() > deadline:
            _say("Ending the others by SIGKILL.")
            for process in running:
                if process.poll() is None:
                    process.kill()
            deadline = None
        time.sleep(0.1)
    first = first or next((p.returncode for p in running if p.returncode), 0)
    # A run that was told to stop, or whose input is bad, would do the same again.
    return 128 - first if first < 0 else first, first < 0 or first == workers.LOST


def ended_by(code):
    """How a process ended, by its return code: "SIGKILL", or "exit code 1"."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _say(line):
    print(f"launch: {line}", flush=True)


def _show(stream, prefix, lock):
    """Copies lines to stdout with a prefix."""
    for line in iter(stream.readline, b""):
        text = prefix + line.decode(errors="replace").rstrip("\r\n") + "\n"
        with lock, contextlib.suppress(OSError):
            sys.stdout.write(text)
            sys.stdout.flush()
