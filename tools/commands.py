"""How the tools begin and end: their flags, --traceback among them, one sentence and a code."""

import functools
import sys

from absl import app, flags

from tf_bdecay import outcome

TRACEBACK = flags.DEFINE_boolean("traceback", False, "Show the traceback of an error.")


def run(name, body, parse=None):
    """Parses the command line, calls the tool and ends the process.

    Args:
        name: of the tool, with which its sentences begin: "kill_test.py".
        body: called with what is left of the command line, the program's name first; returns the
            exit code.
        parse: called with the command line for what is left of it; absl's flags by default.
    """
    app.run(
        functools.partial(_main, name, body),
        flags_parser=functools.partial(_parsed, name, parse or flags.FLAGS),
    )


def _main(name, body, rest):
    ending = outcome.Ending(name, TRACEBACK.value or "--traceback" in rest)
    with outcome.steady_streams(ending):
        code = ending.call(body, rest)
    sys.exit(code)


def _parsed(name, parse, argv):
    """absl itself would exit with code 1."""
    try:
        return parse(argv)
    except (flags.Error, ValueError) as error:
        outcome.Ending(name).say(f"{str(error).rstrip('.')}.")
        sys.exit(outcome.BAD_INPUT)
