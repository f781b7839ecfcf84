"""The first signal asks for an end, the second ends at once, and no handler stays installed."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.processes import ended, running
from tf_bdecay.terminal import signals


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_is_a_request_and_the_old_handlers_come_back(number):
    before = [signal.getsignal(n) for n in signals.SIGNALS]
    threads = threading.active_count()
    with signals.deferred() as request:
        request.check()
        os.kill(os.getpid(), number)
        with pytest.raises(signals.Stopped) as stopped:
            request.check()
    assert stopped.value.number == number
    assert [signal.getsignal(n) for n in signals.SIGNALS] == before
    assert threading.active_count() == threads


def test_a_hangup_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.deferred() as request:
            signal.raise_signal(signal.SIGHUP)
            request.check()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_second_signal_ends_at_once():
    code = (
        "import os, signal; from tf_bdecay.terminal import signals\n"
        "with signals.deferred('ends after this step'):\n"
        "    for _ in range(2): os.kill(os.getpid(), signal.SIGTERM)\n"
        "    while True: pass"
    )
    done = ended(["-c", code], timeout=60)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr == "SIGTERM: ends after this step; a second signal ends at once.\n"


def test_in_another_thread_there_is_nothing_to_catch():
    found = []

    def run():
        with signals.deferred() as request:
            found.append(request.number)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [None]


def test_a_second_signal_ends_a_process_that_is_deep_in_c_at_once():
    code = """
import hashlib
from tf_bdecay.terminal import signals

with signals.deferred():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)  # no handler of Python's runs in it
"""
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with running([sys.executable, "-c", code], **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert "a second signal ends at once" in process.stderr.readline()
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
