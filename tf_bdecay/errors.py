"""Errors that a user can fix, in one sentence: what was wrong, was received and would be right."""

import difflib
import math
import numbers
import os


class BadInput(ValueError):
    """An argument, flag, config value or file that cannot be used as it is.

    `main.py` and the tools print its message as one line and exit with code 2; in a user's own
    program it is an ordinary `ValueError`.
    """

    _keras_call_info_injected = True  # Keras would bury the sentence under a layer's arguments


def shown(value, longest=200):
    """The `repr` of what was received, of bounded length: the middle of a long one is left out."""
    try:
        text = repr(value)
    except Exception:  # from a custom class's `__repr__`
        text = f"<{type(value).__name__}>"
    if len(text) <= longest:
        return text
    return f"{text[: longest - 60]} ... {text[-40:]} ({len(text)} characters)"


def first_line(error):
    """The first line of an exception's message, for use inside a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def require(condition, sentence):
    """Raises `BadInput(sentence)` unless the condition holds."""
    if not condition:
        raise BadInput(sentence)


def nearest(name, valid):
    """The valid name closest to `name` in spelling, or None if nothing is close."""
    spelt = {str(v).lstrip("-"): str(v) for v in valid}  # all flags share the dashes
    close = difflib.get_close_matches(str(name).lstrip("-")[:100], spelt, n=1, cutoff=0.6)
    return spelt[close[0]] if close else None


def unknown(kind, name, valid):
    """Builds the error for a name that is not among the valid ones.

    Args:
        kind: what the name should have been, as a noun: "dataset", "policy".
        name: what was received.
        valid: the names that would have been right.

    Returns:
        A `BadInput` that names the nearest valid name, if there is one, and all of them.
    """
    valid = list(valid)
    guess = nearest(name, valid)
    hint = f"did you mean {guess!r}? " if guess else ""
    return BadInput(f"Unknown {kind} {shown(name)}: {hint}valid: {', '.join(map(str, valid))}.")


def check_flag(name, value, of=""):
    """Raises `BadInput` unless a value is True or False.

    Args:
        name: name of the argument, for the message.
        value: what was received.
        of: whose argument it is, such as "Lamb".
    """
    require(isinstance(value, bool), _sentence(name, value, of, "True or False"))


def check_path(name, value, of=""):
    """Raises `BadInput` unless a value is the path of a file or a folder. Arguments as above."""
    require(isinstance(value, (str, os.PathLike)), _sentence(name, value, of, "a path"))


def check_count(name, value, least=1, of="", what="a whole number"):
    """Raises `BadInput` unless a value is a whole number >= `least`; booleans are refused.

    Args:
        name, value, of: as in `check_flag`.
        least: the smallest valid value.
        what: what the message calls a valid value, such as "a whole number of updates".
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    require(whole and value >= least, _sentence(name, value, of, f"{what} >= {least}"))


def check_number(name, value, least=0.0, of="", above=None, below=math.inf, most=None):
    """Raises `BadInput` unless a value is a finite number in a range; booleans are refused.

    Args:
        name, value, of: as in `check_flag`.
        least: the smallest valid value; ignored if `above` is given.
        above: the limit that the value must exceed; None for no such limit.
        below: the limit that it must stay below.
        most: the largest valid value; None for no such limit.
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    right = (
        number
        and (least <= value if above is None else above < value)
        and value < below
        and (most is None or value <= most)
    )
    bounds = f">= {least:g}" if above is None else f"> {above:g}"
    bounds += "" if math.isinf(below) else f" and < {below:g}"
    bounds += "" if most is None else f" and <= {most:g}"
    require(right, _sentence(name, value, of, f"a number {bounds}"))


def _sentence(name, value, of, right):
    whose = f" of {of}" if of else ""
    return f"`{name}`{whose} must be {right}. Received: {name}={shown(value)}"
