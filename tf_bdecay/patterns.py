"""Regular expressions on variables' paths: for roles, rates and decays of a user's own.

A pattern is matched against the path, whole or from a "/" on. The model's name is better left out,
for Keras changes it on load.
"""

import re

from tf_bdecay.errors import BadInput, check_number, nearest, require, shown


def matches(pattern, path):
    """Whether a pattern matches a path, whole or from a "/" on."""
    return re.fullmatch(rf"(?:.*/)?(?:{pattern})", path) is not None


def check(pattern, where):
    """Raises `BadInput` unless a pattern is a regular expression.

    Args:
        pattern: what was received.
        where: the argument that it is a key of, for the message: "`roles`".
    """
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise BadInput(
            f"A key of {where} must be a regular expression. Received: {shown(pattern)} ({error})"
        ) from error


def matching(pattern, paths, where, names=()):
    """The positions of the paths that a pattern matches.

    Args:
        pattern: a regular expression.
        paths: list of the trainable variables' paths.
        where: the argument that it is a key of, for the message: "`roles`".
        names: what else the key might have been, for the message.

    Raises:
        BadInput: it is no regular expression, or matches none of them.
    """
    check(pattern, where)
    guess = nearest(pattern, names)
    hits = [i for i, path in enumerate(paths) if matches(pattern, path)]
    require(
        hits,
        f"The pattern {pattern!r} in {where} matches no trainable variable"
        + (f": did you mean {guess!r}? The" if guess else "; the")
        + f" paths are {', '.join(paths[:8])}{', ...' if len(paths) > 8 else ''}.",
    )
    return hits


def numbers(values, name, of):
    """A dict of patterns to numbers >= 0, checked.

    Args:
        values: what was received.
        name: the argument that it is, for the message.
        of: whose argument.

    Returns:
        A dict of str to float, in its order.

    Raises:
        BadInput: it is no dict, or a key or value of it is wrong.
    """
    require(
        isinstance(values, dict),
        f"`{name}` of {of} must be a dict of roles or regular expressions to numbers, such as "
        f"{{'head/kernel': 0.1}}. Received: {name}={shown(values)}",
    )
    for pattern, value in values.items():
        check(pattern, f"`{name}` of {of}")
        check_number(f"{name}[{pattern!r}]", value, of=of)
    return {pattern: float(value) for pattern, value in values.items()}


def parse(text, name, of):
    """The dict that a flag's text stands for: "gamma=0.5,head/.*=2".

    Args:
        text: patterns, each with its number behind the last "=", with commas between them; so no
            pattern has a comma in it.
        name, of: as in `numbers`.

    Returns:
        A dict of str to float, in its order.

    Raises:
        BadInput: it is not of that form, names one pattern twice, or `numbers` refuses it.
    """
    found = {}
    for part in text.split(","):
        pattern, _, value = part.strip().rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = None
        require(
            pattern and number is not None and pattern not in found,
            f"`{name}` of {of} must be numbers by role or path, each once, such as "
            f"gamma=0.5,head/.*=2. Received: {shown(text)}",
        )
        found[pattern] = number
    return numbers(found, name, of)
