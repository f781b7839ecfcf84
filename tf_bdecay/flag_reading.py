"""Flags of a command, from a table: absl's own reading, and one sentence for what is wrong.

A table is a tuple of (absl's way to define it, name, default, help). Values are of a FlagValues of
their own: absl's global flags are of the libraries, by the dozens.
"""

import re

from absl import flags

from tf_bdecay.errors import BadInput, require, unknown

_HELP = ("help", "h", "helpshort", "helpfull", "?")
_RIGHT = {
    flags.DEFINE_integer: "a whole number",
    flags.DEFINE_float: "a number",
    flags.DEFINE_boolean: "true or false",
}
_OF_NUMBERS = (flags.DEFINE_integer, flags.DEFINE_float)


def asks_for_help(arguments):
    """Whether one of them is --help or a form of it."""
    return any(a.startswith("-") and a.lstrip("-") in _HELP for a in arguments)


def columns(rows, width):
    """Lines of a help page: a name in a column so wide, and what it means."""
    return "\n".join(f"  {name:{width}} {text}" for name, text in rows)


def lines(table, width=14):
    """The lines of a help page for a table of flags."""
    return columns([(f"--{name}", text) for _, name, _, text in table], width)


def read(table, arguments, program):
    """Reads a command line; flags may stand behind other arguments.

    Args:
        table: of flags, as above.
        arguments: list of strings, without the program's name.
        program: that name.

    Returns:
        (dict of name to absl's flag, with its `value` and whether it is `present`; the list of the
        other arguments).

    Raises:
        BadInput: a flag that there is not, or a value of another kind.
    """
    values = flags.FlagValues()
    values.set_gnu_getopt()
    for define, name, default, text in table:
        define(name, default, text, flag_values=values)
    kinds = {name: define for define, name, _, _ in table}
    try:
        rest = values([program, *arguments])[1:]
    except flags.UnrecognizedFlagError as error:
        valid = [f"--{name}" for name in (*kinds, "help")]
        raise unknown("flag", f"--{error.flagname}", valid) from error
    except flags.IllegalFlagValueError as error:
        raise _wrong_type(str(error), kinds) from error
    except (flags.Error, ValueError) as error:  # ValueError: a value after --noFLAG
        raise BadInput(f"The command line cannot be read: {str(error).rstrip('.')}.") from error
    for name, value in re.findall(r"^--?(\w+)=(.*)$", "\n".join(arguments), re.MULTILINE):
        require(  # Python's int reads digits of every script
            kinds.get(name) not in _OF_NUMBERS or value.isascii(),
            f"--{name} must be written in the digits 0 to 9. Received: {value!r}",
        )
    return {name: values[name] for name in kinds}, rest


def _wrong_type(message, kinds):
    """The error for "flag --NAME=VALUE: why"."""
    found = re.match(r"flag --([^=]*)=(.*?): ", message, re.DOTALL)
    if not found:
        return BadInput(f"The command line cannot be read: {message.rstrip('.')}.")
    name, value = found.groups()
    right = _RIGHT.get(kinds[name], "something else")
    return BadInput(f"--{name} must be {right}. Received: {value!r}")
