"""A key of a config: its type, range and meaning, and constructors for the usual kinds."""

import dataclasses
import math
import struct
from collections.abc import Callable

from tf_bdecay import patterns
from tf_bdecay.errors import BadInput, require, shown, unknown

NAME = "a word without '/', of at most 100 characters"  # what `is_name` asks for
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a config.

    Attributes:
        kind: int, float, bool or str.
        default: the value that a config file starts from; None for "not set".
        doc: its meaning, for `--help`.
        must: the valid values, in words, if the type does not tell.
        allows: function that tells whether a value of the right type is valid.
        optional: whether None, for "not set", is valid.
        choices: the valid names, for a str.
        paper: where the paper states the default, or the section of docs/method.md that quotes
            it; "" where the paper is silent.
    """

    kind: type
    default: object
    doc: str
    must: str = ""
    allows: Callable = lambda value: True
    optional: bool = False
    choices: tuple = ()
    paper: str = ""

    @property
    def right(self):
        """The valid values, in words."""
        return self.must or _KINDS[self.kind]

    def check(self, path, value):
        """Raises `BadInput` unless the value is valid."""
        if value is None and self.optional:
            return
        if self.choices and isinstance(value, str):
            if value not in self.choices:
                raise unknown(f"value of config.{path}", value, self.choices)
            return
        right = isinstance(value, bool) == (self.kind is bool) and isinstance(
            value, (int, float) if self.kind is float else self.kind
        )
        require(
            right and self.allows(value),
            f"config.{path} must be {self.right}. Received: {shown(value)}",
        )


def single(value):
    """A number as float32 holds it; NaN if it is too large for that."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.nan


def is_name(value):
    """Whether text is a name, and can be part of a folder's name."""
    return (
        0 < len(value) <= 100 and value.isprintable() and "/" not in value and bool(value.strip())
    )


def is_by_role_or_path(value):
    """Whether text gives numbers by role or path, in the syntax of `patterns.parse`."""
    try:
        return bool(patterns.parse(value, "rate_multipliers", "a config"))
    except BadInput:
        return False


def is_path(value):
    """Whether text can be the path of a file."""
    return bool(value.strip()) and "\0" not in value


def is_patterns(value):
    """Whether text is a list of regular expressions, separated by commas."""
    try:
        for pattern in value.split(","):
            patterns.check(pattern.strip(), "a config")
    except BadInput:
        return False
    return all(pattern.strip() for pattern in value.split(","))


def count(default, doc, least=1, optional=False, paper="", most=2**31 - 1):
    """A whole number from `least` to `most`."""
    must = f"a whole number >= {least}" + (
        f" and <= {most}" if most < 2**31 - 1 else ", below 2^31"
    )
    return Key(int, default, doc, must, lambda v: least <= v <= most, optional, paper=paper)


def number(
    default,
    doc,
    least=0.0,
    most=math.inf,
    below=math.inf,
    above=-math.inf,
    optional=False,
    paper="",
):
    """A number with least <= value <= most and above < value < below, in float32 too; never NaN."""
    must = "a number > 0" if above == 0 else f"a finite number >= {least:g}"
    must += f" and <= {most:g}" if most < math.inf else ""
    must += f" and < {below:g}" if below < math.inf else ""
    must += ", in float32"

    def allows(value):
        return all(least <= one <= most and above < one < below for one in (value, single(value)))

    return Key(float, default, doc, must, allows, optional, paper=paper)


def flag(default, doc):
    """True or false."""
    return Key(bool, default, doc)


def choice(default, doc, *names, paper=""):
    """One of some names."""
    must = f"one of {', '.join(names)}"
    return Key(str, default, doc, must, choices=names, paper=paper)
