"""Errors a user can mend: one sentence that says what was wrong, what came, what would be right."""

import difflib


class BadInput(ValueError):
    """An argument, flag, config value or file that cannot be used as it is.

    `main.py` and the tools print its message as one line and exit with code 2; in a user's own
    program it is an ordinary `ValueError`.
    """

    _keras_call_info_injected = True  # Keras would bury the sentence under a layer's arguments


def nearest(name, valid):
    """The valid name closest to `name` in spelling, or None where nothing is close."""
    spelt = {str(v).lstrip("-"): str(v) for v in valid}  # what flags have in common says nothing
    close = difflib.get_close_matches(str(name).lstrip("-"), spelt, n=1, cutoff=0.5)
    return spelt[close[0]] if close else None


def unknown(kind, name, valid):
    """Builds the error for a name that is not among the valid ones.

    Args:
        kind: what the name should have been, as a noun: "dataset", "policy".
        name: what was received.
        valid: the names that would have been right.

    Returns:
        A `BadInput` that names the nearest valid name, where one is near, and all of them.
    """
    valid = list(valid)
    guess = nearest(name, valid)
    hint = f"did you mean {guess!r}? " if guess else ""
    return BadInput(f"Unknown {kind} {name!r}: {hint}valid: {', '.join(map(str, valid))}.")


def require(condition, sentence):
    """Raises `BadInput(sentence)` unless the condition holds."""
    if not condition:
        raise BadInput(sentence)
