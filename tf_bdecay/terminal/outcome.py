"""How a command ends: an exit code and one bounded sentence, whatever happened.

    ending = outcome.Ending("main.py", flag_reading.asks_for_traceback(arguments))
    with streams.steady(ending), outcome.ends_at_signals(ending):
        code = ending.call(body, arguments)  # ending.folder = ... once it is known

An error without a sentence of its own is told in one line; its traceback goes to errors.log in the
folder of the run, or to stderr on request. If the reader of a pipe has gone, a command that only
prints ends quietly with 0. Nothing here loads TensorFlow.
"""

import contextlib
import os
import pathlib
import re
import signal
import sys
import traceback

from tf_bdecay.errors import BadInput
from tf_bdecay.terminal import signals, streams

DONE, FAILED, BAD_INPUT, DIVERGED = 0, 1, 2, 3
LOG = "errors.log"
LONGEST = 1200  # characters of a sentence


class Ending:
    """The end of a command: prints its sentence and knows its exit code.

    Args:
        name: name of the command, with which its sentences begin: "main.py".
        traceback: whether stderr gets the traceback of whatever ends it.

    Attributes:
        folder: where errors.log goes, a path that need not exist; None for no log.
        what: what stops if a file cannot be written: "The run".
        kept: function without arguments that returns a sentence on what is kept; None for none.
        fits: what would need less memory, in words.
    """

    def __init__(self, name, traceback=False):
        self.name, self.traceback = name, traceback
        self.folder = None
        self.what, self.kept, self.fits = "The run", None, ""

    def call(self, body, *arguments):
        """Calls `body`, which returns an exit code.

        Returns:
            That code, or the code for what it raised, whose sentence is then on stderr.
        """
        try:
            return body(*arguments)
        except BaseException as error:
            return self.of(error)

    def of(self, error):
        """Says how an exception ends the command, and returns its exit code."""
        if self.traceback and not isinstance(error, (SystemExit, BrokenPipeError)):
            with contextlib.suppress(OSError, ValueError):
                print(_traceback(error), file=sys.stderr, flush=True)
        code, sentence = self._told(error)
        if code != DONE and sentence:
            self.say(sentence)
        return code

    def say(self, sentence):
        """Prints a sentence on stderr or, if that is gone, to errors.log."""
        line = f"{self.name}: {bounded(sentence)}"
        try:
            print(line, file=sys.stderr, flush=True)
            gone = getattr(sys.stderr, "lost", False)  # a stream of `streams.steady` never raises
        except (OSError, ValueError):
            gone = True
        if gone:
            self.log(line)

    def unless_unread(self, code, lost, where=""):
        """The exit code of a command whose output is what it prints; it fails if stdout failed.

        Args:
            code: the exit code otherwise.
            lost: what `streams.steady` yielded, after the context was closed.
            where: a sentence that says where else the output is.
        """
        error = lost.get("stdout")
        if code != DONE or error is None or isinstance(error, BrokenPipeError):
            return code
        self.say(f"Stdout cannot be written ({streams.reason(error)}). {where}")
        return FAILED

    def interrupted(self, number, *said):
        """What to say when a signal ended the command."""
        return f"{word(number)}. {' '.join(map(str, said)) or self._kept()}".strip()

    def log(self, text):
        """Appends to errors.log, and returns its path; None if it cannot be written."""
        if self.folder is None or not pathlib.Path(self.folder).is_dir():
            return None
        path = pathlib.Path(self.folder, LOG)
        try:
            with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text.rstrip("\n") + "\n")
        except OSError:
            return None
        return path

    def _told(self, error):
        """The exit code and the sentence."""
        if isinstance(error, SystemExit):
            return _exit_code(error), error.code if isinstance(error.code, str) else ""
        if isinstance(error, KeyboardInterrupt):
            number = getattr(error, "number", signal.SIGINT)
            return 128 + number, self.interrupted(number, *error.args)
        if isinstance(error, BadInput):
            return BAD_INPUT, str(error)
        if isinstance(error, BrokenPipeError):
            return DONE, ""  # the reader has seen enough
        if out_of_memory(error):
            return FAILED, f"{self._traced(error, 'Memory does not suffice', self.fits)}"
        if isinstance(error, OSError):
            return FAILED, f"{self.what} stops: {str(error).rstrip('.')}. {self._kept()}"
        return FAILED, self._traced(error, "An error that was not foreseen", "")

    def _traced(self, error, what, advice):
        where = ""
        if not self.traceback:
            path = self.log(_traceback(error))
            where = f"The traceback is in {path}. " if path else "--traceback shows where. "
        reason = bounded(str(error), 300).rstrip(".")
        named = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        return f"{what} ({named}). {advice}{' ' * bool(advice)}{where}{self._kept()}"

    def _kept(self):
        try:
            return self.kept() if self.kept else ""
        except Exception:  # the report of a failure must not fail itself
            return ""


def _traceback(error):
    return "".join(traceback.format_exception(error))


def _exit_code(error):
    if error.code is None:
        return DONE
    return error.code if isinstance(error.code, int) else FAILED


def word(number):
    """What a signal did, in a word."""
    words = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated", signal.SIGHUP: "Hung up"}
    return words.get(number, f"Ended by signal {number}")


def bounded(text, longest=LONGEST):
    """Text as one line of bounded length; the middle of a long one is left out."""
    line = re.sub(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(text)).strip()
    if len(line) <= longest:
        return line
    end = longest // 4
    return f"{line[: longest - end - 5]} ... {line[-end:]}"


def out_of_memory(error):
    """Whether an exception of Python, NumPy or TensorFlow says that memory ran out."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, MemoryError) or "ResourceExhaustedError" in names


@contextlib.contextmanager
def ends_at_signals(ending):
    """Ends the process at a signal with a sentence and 128 + n, while there is nothing to save."""
    try:
        handle = os.dup(2)  # the body may redirect 2 to silence TensorFlow's C++
    except OSError:
        handle = None

    def say(number):
        line = f"{ending.name}: {ending.interrupted(number)}"
        try:
            os.write(handle, f"\n{line}\n".encode(errors="backslashreplace"))
        except (OSError, TypeError):
            ending.log(line)

    try:
        with signals.ending(say):
            yield
    finally:
        if handle is not None:
            os.close(handle)
