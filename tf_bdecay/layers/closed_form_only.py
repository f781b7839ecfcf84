"""A context in which ghost batch normalization is a plain formula of what it is given."""

import contextlib
import threading

_local = threading.local()  # replicas are threads


@contextlib.contextmanager
def closed_form_only():
    """Inside, layers use no kernel of loops and ask no other replica.

    For forward-mode differentiation, which cannot follow such a loop, and for replicas that all
    compute the same. Not an argument, for Keras hands none of a model's call on to its layers but
    `training`, and not an attribute of the layers, for others may trace the model at the same time.
    """
    outer = is_plain()
    _local.plain = True
    try:
        yield
    finally:
        _local.plain = outer


def is_plain():
    """Whether the context is on, in this thread."""
    return getattr(_local, "plain", False)
