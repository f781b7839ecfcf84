"""SIGTERM and SIGINT during training: the first asks for a checkpoint, the second ends at once."""

import contextlib
import os
import signal
import sys
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    """A signal ended the training, after a checkpoint; `number` is the signal's."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Request:
    """Whether to stop.

    Attributes:
        number: of the signal that asked for it; None for none.
    """

    number = None

    def save(self, wish):
        """Whether to save now, where it is due by the clock; many workers agree on it."""
        return wish

    def check(self):
        """Raises `Stopped` if a signal came."""
        if self.number is not None:
            raise Stopped(self.number)


@contextlib.contextmanager
def deferred():
    """Catches both signals, for training to look at when it can stop.

    The second one ends the process at once, with 128 + its number: also while TensorFlow compiles,
    when no Python handler can run. So a thread reads what the C handler writes into a pipe.

    Yields:
        A `Request`. Outside of the main thread, where Python sets no handlers, it stays empty.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number, frame):
        request.number = request.number or number

    read, write = os.pipe()
    os.set_blocking(write, False)
    before = {number: signal.signal(number, ask) for number in SIGNALS}
    fd_before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(read,), daemon=True)
    watch.start()
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        os.close(write)  # ends the thread
        watch.join()
        os.close(read)


def _watch(read):
    asked = False
    while number := os.read(read, 1):
        if number[0] not in SIGNALS:
            continue
        if asked:
            os._exit(128 + number[0])
        asked = True
        name = signal.Signals(number[0]).name
        line = f"{name}: saving after the running update; a second signal ends at once.\n"
        with contextlib.suppress(OSError, ValueError):  # a terminal that is gone
            os.write(sys.__stderr__.fileno(), line.encode())
