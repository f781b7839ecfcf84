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
    outer = closed_form_is_on()
    _local.on = True
    try:
        yield
    finally:
        _local.on = outer


def closed_form_is_on():
    """Whether the context is on, in this thread."""
    return getattr(_local, "on", False)
