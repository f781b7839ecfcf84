"""Regular expressions on variable paths, with which users set roles, rates and decays.

A pattern must match the whole path or all that follows some "/". It may also match a place of the
variable in its models (`roles.owners`) in this way: Keras changes paths on load, but not places.
"""

import re

from tf_bdecay.errors import BadInput, check_number, nearest, require, shown


def matches(pattern, path):
    """Whether a pattern matches the whole path or all that follows some "/" in it."""
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


def matches_any(pattern, paths):
    """Whether a pattern matches one of several paths."""
    return any(matches(pattern, path) for path in paths)


def matching(pattern, paths, where, names=(), places=None):
    """The positions of the paths that a pattern matches.

    Args:
        pattern: a regular expression.
        paths: list of the trainable variables' paths.
        where: the argument that it is a key of, for the message: "`roles`".
        names: what else the key might have been, for the message.
        places: list of tuples of other paths, which each variable has besides; None for none.

    Raises:
        BadInput: it is not a regular expression, or matches none of the paths.
    """
    check(pattern, where)
    guess = nearest(pattern, names)
    places = places or [()] * len(paths)
    known = [(path, *others) for path, others in zip(paths, places, strict=True)]
    hits = [i for i, all_paths in enumerate(known) if matches_any(pattern, all_paths)]
    require(
        hits,
        f"The pattern {pattern!r} in {where} matches no trainable variable"
        + (f": did you mean {guess!r}? The" if guess else "; the")
        + f" paths are {', '.join(paths[:8])}{', ...' if len(paths) > 8 else ''}.",
    )
    return hits


def numbers(values, name, of):
    """Checks a dict of patterns to numbers >= 0.

    Args:
        values: what was received.
        name: name of the argument, for the message.
        of: whose argument it is.

    Returns:
        A dict of str to float, in the same order.

    Raises:
        BadInput: it is not a dict, or one of its keys or values is wrong.
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
    """Parses a flag's text, such as "gamma=0.5,head/.*=2", into a dict.

    Args:
        text: patterns separated by commas, each with its number behind its last "="; a pattern
            therefore cannot contain a comma.
        name, of: as in `numbers`.

    Returns:
        A dict of str to float, in the order of the text.

    Raises:
        BadInput: the text is not of that form or names a pattern twice, or `numbers` refuses it.
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
