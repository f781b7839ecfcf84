"""Flags of a command, from a table: absl's own reading, and one sentence for what is wrong.

Values are of a FlagValues of their own: absl's global flags are of the libraries, by the dozens.
"""

import itertools
import re
from typing import NamedTuple

from absl import flags

from tf_bdecay.errors import BadInput, require, shown, unknown

_HELP = ("help", "h", "helpshort", "helpfull", "?")
_DEFINE = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
    list: flags.DEFINE_list,
}
_PARSERS = {str: flags.ArgumentParser, int: flags.IntegerParser, float: flags.FloatParser}
UNSET = "unset"  # the word for no value, of a flag that may have none
_RIGHT = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "words with commas between them",
}


class Flag(NamedTuple):
    """A flag of a command.

    Attributes:
        kind: str, int, float, bool, or list for words with commas between them.
        name: without its dashes.
        default: its value where it is not given.
        doc: what it means, for `--help`.
        right: the values that are right, in words, where the kind does not say it all.
        optional: whether the word "unset" is right, too, and stands for None: of words and numbers.
    """

    kind: type
    name: str
    default: object
    doc: str
    right: str = ""
    optional: bool = False


TRACEBACK = Flag(bool, "traceback", False, "of an error, before its sentence")


class _OrUnset(flags.ArgumentParser):
    """Reads a value, or the word that stands for none."""

    def __init__(self, parser):
        self._parser = parser

    def parse(self, argument):
        return None if argument == UNSET else self._parser.parse(argument)

    def flag_type(self):
        return self._parser.flag_type()


def asks_for_help(arguments):
    """Whether one of them is --help or a form of it."""
    return any(a.startswith("-") and a.lstrip("-") in _HELP for a in arguments)


def asks_for_traceback(arguments):
    """Whether one of them is --traceback; known before the others are understood."""
    return any(re.fullmatch(r"--?traceback(=(?i:true|t|1))?", a) for a in arguments)


def columns(rows, width):
    """Lines of a help page: a name in a column so wide, and what it means."""
    return "\n".join(f"  {name:{width}} {text}" for name, text in rows)


def lines(table, width=14):
    """The lines of a help page for a table of flags."""
    return columns([(f"--{flag.name}", flag.doc) for flag in table], width)


def read(table, arguments, program):
    """Reads a command line; flags may stand behind other arguments.

    Args:
        table: the `Flag`s that there are.
        arguments: list of strings, without the program's name.
        program: that name.

    Returns:
        (absl's FlagValues: the value of a flag is an attribute, and by its name there is the flag,
        with its `value` and whether it is `present`; the list of the other arguments).

    Raises:
        BadInput: a flag that there is not, or a value of another kind.
    """
    values = flags.FlagValues()
    values.set_gnu_getopt()
    for flag in table:
        if flag.optional:
            parser = _OrUnset(_PARSERS[flag.kind]())
            flags.DEFINE(parser, flag.name, flag.default, flag.doc, flag_values=values)
        else:
            _DEFINE[flag.kind](flag.name, flag.default, flag.doc, flag_values=values)
    try:
        rest = values([program, *arguments])[1:]
    except flags.UnrecognizedFlagError as error:
        valid = [f"--{name}" for name in (*(flag.name for flag in table), "help")]
        raise unknown("flag", f"--{error.flagname}", valid) from error
    except flags.IllegalFlagValueError as error:
        raise _wrong_type(str(error), table) from error
    except (flags.Error, ValueError) as error:  # ValueError: a value after --noFLAG
        raise BadInput(f"The command line cannot be read: {str(error).rstrip('.')}.") from error
    _check_values(arguments, {flag.name: flag.kind for flag in table})
    return values, rest


def _wrong_type(message, table):
    """The error for "flag --NAME=VALUE: why"."""
    found = re.match(r"flag --([^=]*)=(.*?): ", message, re.DOTALL)
    if not found:
        return BadInput(f"The command line cannot be read: {message.rstrip('.')}.")
    name, value = found.groups()
    right = next(flag.right or _RIGHT[flag.kind] for flag in table if flag.name == name)
    return BadInput(f"--{name} must be {right}. Received: {shown(value)}")


def _check_values(arguments, kinds):
    """Raises `BadInput` for flags that would take another flag for their value, and for numbers in
    other digits than ASCII's, which Python would read.
    """
    for argument, after in itertools.pairwise([*arguments, ""]):
        name, equals, value = argument.lstrip("-").partition("=")
        kind = kinds.get(name) if argument.startswith("-") else None
        require(
            equals or kind in (None, bool) or not after.startswith("--"),
            f"--{name} needs a value and is followed by another flag: write --{name}=VALUE.",
        )
        value = value if equals else after
        require(
            kind not in (int, float) or (value.isascii() and "_" not in value),
            f"--{name} must be written in the digits 0 to 9. Received: {shown(value)}",
        )
