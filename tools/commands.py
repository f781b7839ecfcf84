"""Starts and ends the tools: parses flags, shows an error as one sentence, sets the exit code."""

import contextlib
import functools
import sys

from absl import app, flags

from tf_bdecay.errors import unknown
from tf_bdecay.terminal import outcome, streams

TRACEBACK = flags.DEFINE_boolean("traceback", False, "Show the traceback of an error.")


def run(name, body, parse=None, kept=None):
    """Parses the command line, calls the tool and ends the process.

    Args:
        name: the tool's name, with which its error sentences begin, such as "kill_test.py".
        body: function of the command line's remaining arguments, the program's name first, that
            returns the exit code.
        parse: function of the command line that returns the remaining arguments; absl's flags by
            default.
        kept: function without arguments that returns a sentence on what is kept when the tool ends
            early. If it is given, a signal that `body` does not catch ends the tool at once, with
            this sentence.
    """
    app.run(
        functools.partial(_main, name, body, kept),
        flags_parser=functools.partial(_parsed, name, parse or flags.FLAGS),
    )


def _main(name, body, kept, rest):
    ending = outcome.Ending(name, TRACEBACK.value or "--traceback" in rest)
    ending.kept = kept
    signals = outcome.ends_at_signals(ending) if kept else contextlib.nullcontext()
    with streams.steady(ending), signals:
        code = ending.call(body, rest)
    sys.exit(code)


def _parsed(name, parse, argv):
    """Parses flags; absl itself would exit with code 1 on a wrong one."""
    try:
        return parse(argv)
    except flags.UnrecognizedFlagError as error:
        own = flags.FLAGS.get_key_flags_for_module(argv[0])
        valid = [f"--{name}" for name in (*(flag.name for flag in own), "traceback", "help")]
        outcome.Ending(name).say(str(unknown("flag", f"--{error.flagname}", valid)))
        sys.exit(outcome.BAD_INPUT)
    except (flags.Error, ValueError) as error:
        outcome.Ending(name).say(f"{str(error).rstrip('.')}.")
        sys.exit(outcome.BAD_INPUT)
