"""Large-batch training for Keras that keeps the accuracy of small batches.

`Lamb` decays the beta of each normalization layer in the updates in which that layer's connectivity
sharpness ratio r_l = C(beta_l) / C(gamma_l) is large.
"""

import importlib
import os

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

_SUBMODULES = ("callbacks", "data", "decay", "layers", "models", "schedules", "sharpness")
_FROM_OPTIM = ("SGD", "Lamb", "describe", "roles_of")


def __getattr__(name):
    """Imports a part when it is first asked for: some need TensorFlow, some take seconds."""
    if name in _SUBMODULES:
        return importlib.import_module(f"tf_bdecay.{name}")
    if name in _FROM_OPTIM:
        return getattr(importlib.import_module("tf_bdecay.optim"), name)
    raise AttributeError(f"module 'tf_bdecay' has no attribute {name!r}")


# `import tf_bdecay` is enough for keras.models.load_model to know our classes. Only main.py asks to
# wait with that, as it checks its command line before it loads TensorFlow.
if not os.environ.pop("TF_BDECAY_LAZY_IMPORT", None):
    importlib.import_module("tf_bdecay.layers")
    importlib.import_module("tf_bdecay.optim")
