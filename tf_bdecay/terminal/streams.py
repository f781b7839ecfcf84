"""Stdout and stderr that survive a closed pipe, a full disk and narrow encodings.

A command that trains or measures goes on even if the reader of its pipe has gone.
"""

import codecs
import contextlib
import os
import sys

_PLAIN = {
    **dict.fromkeys("─━═╌╍┄┅╴╶╸╺–—−‐‑", "-"),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╯╰╞╡╪╒╕╘╛┏┓┗┛┡┩╇╈┠┨┳┻╋", "+"),
    **{"±": "+/-", "λ": "lambda"},
    **{"×": "x", "…": "...", "≥": ">=", "≤": "<=", "'": "'", "█": "#", "•": "*"},
}


@contextlib.contextmanager
def steady(ending, goes_on=lambda: False):
    """Makes stdout and stderr survive a terminal or reader that is gone, and narrow encodings.

    What can no longer be printed is dropped. If the command goes on, errors.log says so.

    Args:
        ending: the `Ending`, whose `folder` has the log.
        goes_on: called when a stream is lost; returns whether the work goes on without it.

    Yields:
        Dict of the name of a lost stream to the `OSError`, or the `ValueError` of a closed file.
    """
    lost, before = {}, (sys.stdout, sys.stderr)

    def lose(name, error):
        lost[name] = error
        if goes_on():
            ending.log(
                f"{ending.name}: {name} is gone ({reason(error)}): the run goes on, without a "
                "word to it."
            )

    taken = []
    if None in before:  # closed at the start: the next file to be opened must not become stdout
        while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
            taken.append(handle)
        os.close(handle)
    names = ("stdout", "stderr")
    sys.stdout, sys.stderr = (
        _Steady(stream or open(os.devnull, "w"), name, lose)  # noqa: SIM115
        for stream, name in zip(before, names, strict=True)
    )
    try:
        yield lost
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before


def reason(error):
    """The message of an `OSError`, without its number, or of a `ValueError`."""
    return getattr(error, "strerror", None) or str(error).rstrip(".")


class _Steady:
    """A text stream to which writing never fails; what cannot be encoded becomes plain ASCII.

    Attributes:
        lost: whether what is written is dropped.
    """

    def __init__(self, under, name, lose):
        self._under, self._name, self._lose = under, name, lose
        self.lost = False
        if hasattr(under, "reconfigure") and getattr(under, "errors", "") == "strict":
            under.reconfigure(errors="tf_bdecay.plain")

    def write(self, text):
        """Writes text and returns its length, as if writing always succeeded."""
        self._tried(self._under.write, text)
        return len(text)

    def flush(self):
        """Flushes."""
        self._tried(self._under.flush)

    def writelines(self, lines):
        """Writes lines."""
        for line in lines:
            self.write(line)

    def isatty(self):
        """Whether it is a terminal that is still there."""
        return not self.lost and self._under.isatty()

    def __getattr__(self, name):
        return getattr(self._under, name)

    def _tried(self, function, *arguments):
        if self.lost:
            return
        try:
            function(*arguments)
        except (OSError, ValueError) as error:
            if not isinstance(error, OSError) and not self._under.closed:
                raise
            self.lost = True
            with contextlib.suppress(OSError, ValueError):  # buffered text must go somewhere
                sink = os.open(os.devnull, os.O_WRONLY)
                os.dup2(sink, self._under.fileno())
                os.close(sink)
            self._lose(self._name, error)


def _plain(error):
    """Replaces what an encoding lacks by ASCII: table lines, dashes, symbols; '?' for the rest."""
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in text), error.end


codecs.register_error("tf_bdecay.plain", _plain)
