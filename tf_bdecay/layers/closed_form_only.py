"""A context in which ghost batch normalization uses no loop kernel and no other replica."""

import contextlib
import threading

_local = threading.local()  # replicas are threads


@contextlib.contextmanager
def closed_form_only():
    """Makes layers use the closed form alone and not communicate with other replicas.

    It is for forward-mode differentiation, which cannot follow the loop of the fused kernel, and
    for replicas that all compute the same. It is not an argument, because a Keras model passes only
    `training` on to its layers, and not an attribute of the layers, because other threads may trace
    the model at the same time.
    """
    outer = closed_form_is_on()
    _local.on = True
    try:
        yield
    finally:
        _local.on = outer


def closed_form_is_on():
    """Whether this thread is inside the context."""
    return getattr(_local, "on", False)
