"""Reads a command's flags from a table: absl parses them, and errors are one sentence.

Each command line has its own FlagValues, as libraries add dozens of flags to absl's global ones.
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
UNSET = "unset"  # the word for no value, if a flag may have none
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
        name: its name without dashes.
        default: its value if it is not given.
        doc: what it means, for `--help`.
        right: the valid values, in words, if the kind does not say it all.
        optional: whether the word "unset" is valid too and stands for None; only for str, int and
            float.
    """

    kind: type
    name: str
    default: object
    doc: str
    right: str = ""
    optional: bool = False


TRACEBACK = Flag(bool, "traceback", False, "of an error, before its sentence")


class _OrUnset(flags.ArgumentParser):
    """Parses a value, or the word that stands for no value."""

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
    """Whether one of them is --traceback; can be asked before the others are parsed."""
    return any(re.fullmatch(r"--?traceback(=(?i:true|t|1))?", a) for a in arguments)


def columns(rows, width):
    """Lines of a help page: each has a name, padded to a width, and what it means."""
    return "\n".join(f"  {name:{width}} {text}" for name, text in rows)


def lines(table, width=14):
    """The lines of a help page for a table of flags."""
    return columns([(f"--{flag.name}", flag.doc) for flag in table], width)


def read(table, arguments, program):
    """Reads a command line; flags may follow other arguments.

    Args:
        table: the `Flag`s that there are.
        arguments: list of strings, without the program's name.
        program: the program's name.

    Returns:
        absl's FlagValues and the list of the other arguments. `values.NAME` is the value of a flag;
        `values["NAME"]` is the flag, with its `value` and whether it is `present`.

    Raises:
        BadInput: a flag is unknown, or a value is of the wrong kind.
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
    """Our error for absl's message "flag --NAME=VALUE: why"."""
    found = re.match(r"flag --([^=]*)=(.*?): ", message, re.DOTALL)
    if not found:
        return BadInput(f"The command line cannot be read: {message.rstrip('.')}.")
    name, value = found.groups()
    right = next(flag.right or _RIGHT[flag.kind] for flag in table if flag.name == name)
    return BadInput(f"--{name} must be {right}. Received: {shown(value)}")


def _check_values(arguments, kinds):
    """Raises `BadInput` for a flag whose value is another flag, or a number in unusual digits.

    Python would read numbers with underscores and in other digits than ASCII's.
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
