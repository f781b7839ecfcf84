"""What SIGTERM, SIGINT and SIGHUP do.

While there is nothing to save, each ends the process at once, with a sentence. During training and
measurements, the first asks for the end after the running step, and the second ends the process at
once.
"""

import contextlib
import os
import signal
import sys
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def heeded():
    """Those of `SIGNALS` that are handled; a SIGHUP that is ignored (nohup) stays ignored."""
    return [n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]


class Stopped(KeyboardInterrupt):
    """A signal ended the work, after what can be kept was kept.

    Args:
        number: number of the signal.
        *said: what to say about what is kept.
    """

    def __init__(self, number=signal.SIGTERM, *said):
        super().__init__(*said)
        self.number = number


class Request:
    """Whether a signal asked for a stop.

    Attributes:
        number: number of that signal; None for none.
    """

    number = None

    def save(self, wish):
        """Whether to save now, given whether the clock says so; a cluster's workers must agree."""
        return wish

    def check(self):
        """Raises `Stopped` if a signal came."""
        if self.number is not None:
            raise Stopped(self.number)


@contextlib.contextmanager
def deferred(promise="saving after the running update"):
    """Catches the signals, so that training or a measurement can stop where it is safe.

    The second one ends the process at once, with 128 + its number, even while TensorFlow compiles
    and no Python handler can run. That is why a thread reads what the C handler writes into a pipe.

    Args:
        promise: what the first signal leads to, in words.

    Yields:
        A `Request`. Outside the main thread, where Python sets no handlers, it stays empty.
    """
    request, asked = Request(), []

    def ask(number, frame):
        request.number = request.number or number

    def came(number):
        if asked:
            os._exit(128 + number)
        asked.append(number)
        name = signal.Signals(number).name
        _say(f"{name}: {promise}; a second signal ends at once.")

    with _watched(ask, came):
        yield request


@contextlib.contextmanager
def ending(say):
    """Ends the process at the first signal, with 128 + its number, while there is nothing to save.

    It raises no exception, which would be lost in a callback of the garbage collector or in a
    library that catches everything. Files being written are left as after a kill.

    Args:
        say: called with the signal's number, in a thread, before the end.
    """

    def came(number):
        try:
            say(number)
        finally:
            os._exit(128 + number)

    with _watched(lambda number, frame: None, came):
        yield


@contextlib.contextmanager
def _watched(handler, came):
    """Sets a handler for the signals in `heeded()`, and calls `came` for each in a thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = {number: signal.signal(number, handler) for number in heeded()}
    fd_before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(read, came), daemon=True)
    watch.start()
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
        signal.set_wakeup_fd(fd_before)
        os.close(write)  # ends the thread
        watch.join()
        os.close(read)


def _watch(read, came):
    while number := os.read(read, 1):
        if number[0] in SIGNALS:
            came(number[0])


def _say(line):
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a terminal that is gone
        os.write(sys.__stderr__.fileno(), f"{line}\n".encode(errors="backslashreplace"))
