"""Large-batch training for Keras that keeps the accuracy of small batches.

`Lamb` decays the beta of each normalization layer in the updates in which that layer's connectivity
sharpness ratio r_l = C(beta_l) / C(gamma_l) is large.
"""

import importlib

from tf_bdecay import decay, schedules
from tf_bdecay.optim import SGD, Lamb, describe, roles_of

__version__ = "0.1.0"
__all__ = [
    "SGD",
    "Lamb",
    "callbacks",
    "data",
    "decay",
    "describe",
    "layers",
    "models",
    "roles_of",
    "schedules",
    "sharpness",
]

_SUBPACKAGES = ("callbacks", "data", "layers", "models", "sharpness")


def __getattr__(name):
    """Imports the other parts when they are first asked for: some need TensorFlow."""
    if name in _SUBPACKAGES:
        return importlib.import_module(f"tf_bdecay.{name}")
    raise AttributeError(f"module 'tf_bdecay' has no attribute {name!r}")
