"""What a command owes its terminal: an output that may close, signals, sentences of one line.

Importing this needs the standard library alone: signals are caught before all else is loaded.
"""

import contextlib
import os
import signal
import sys
import threading

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_MOST = 2_000  # characters of a sentence
_ASCII = str.maketrans({"─": "-", "━": "-", "±": "+/-", "…": "...", "–": "-", "λ": "lambda"})


class Output:
    """Stdout, for as long as it can be written; what comes later is dropped.

    Characters that its encoding lacks are written in others.

    Attributes:
        lost: the `OSError` or `ValueError` that ended it, or None.
    """

    def __init__(self, stream):
        self._stream = stream
        self.lost = None if stream else ValueError("it is closed")

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        """Writes, and finds out at once whether it can be."""
        self._try(lambda: self._stream.write(self._encodable(text)))
        self.flush()
        return len(text)

    def flush(self):
        """Flushes."""
        self._try(lambda: self._stream.flush())

    def isatty(self):
        """Whether it is a terminal that is still there."""
        return self.lost is None and self._stream.isatty()

    def _encodable(self, text):
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeError:
            plain = text.translate(_ASCII)
            return plain.encode(encoding, "backslashreplace").decode(encoding)
        return text

    def _try(self, action):
        if self.lost is not None:
            return
        try:
            action()
        except (OSError, ValueError) as error:  # ValueError: of a file that was closed
            self.lost = error
            _drop(self._stream)


def _drop(stream):
    """What is left in a stream's buffer is not to fail again when Python ends."""
    if stream is sys.__stdout__:
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


@contextlib.contextmanager
def output():
    """Puts an `Output` in stdout's place."""
    found = Output(sys.stdout)
    with contextlib.redirect_stdout(found):
        yield found


def say(program, sentence):
    """Prints a sentence to stderr: one line, of bounded length."""
    line = " ".join(f"{program}: {sentence}".split())
    if len(line) > _MOST:
        line = f"{line[: _MOST // 2]} [...] {line[-_MOST // 2 :]}"
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be gone too
        print(line, file=sys.stderr, flush=True)


class Stopped(KeyboardInterrupt):
    """A signal asked for the end; `number` is the signal's."""

    def __init__(self, number):
        super().__init__()
        self.number = number


class Stop:
    """Whether to stop.

    Attributes:
        number: of the signal that asked for it; None for none.
    """

    number = None

    def check(self):
        """Raises `Stopped` if a signal came."""
        if self.number is not None:
            raise Stopped(self.number)


@contextlib.contextmanager
def stoppable(program):
    """Lets SIGINT, SIGTERM and SIGHUP ask for the end; the second one ends the process at once.

    Python drops an exception that a handler raises where a collector's callback runs, so the
    handler leaves word, and whoever works looks at it. Signals that the process was started to
    ignore (`nohup`) stay ignored, and outside of the main thread there are no handlers.

    Yields:
        A `Stop`.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number, frame):
        if stop.number is not None:
            os._exit(128 + number)
        stop.number = number
        with contextlib.suppress(OSError):
            name = signal.Signals(number).name
            line = f"{program}: {name}: ends after this step; a second signal ends at once.\n"
            os.write(2, line.encode())

    before = {}
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
