"""Large-batch training for Keras that keeps the accuracy of small batches.

`Lamb` decays the beta of each normalization layer in the updates in which that layer's connectivity
sharpness ratio r_l = C(beta_l) / C(gamma_l) is large.
"""

import importlib
import os
import sys

__version__ = "0.1.0"
__all__ = [
    "SGD",
    "Lamb",
    "LossScaleOptimizer",
    "Trainer",
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
_FROM_OPTIM = ("SGD", "Lamb", "LossScaleOptimizer", "describe", "roles_of")


def __getattr__(name):
    """Imports a part when it is first asked for: some need TensorFlow, some take seconds."""
    if name in _SUBMODULES:
        return importlib.import_module(f"tf_bdecay.{name}")
    if name in _FROM_OPTIM:
        return getattr(importlib.import_module("tf_bdecay.optim"), name)
    if name == "Trainer":  # TensorFlow's
        return importlib.import_module("tf_bdecay.training.trainer").Trainer
    raise AttributeError(f"module 'tf_bdecay' has no attribute {name!r}")


def _checks_a_command_line_first():
    """Whether main.py, or `python -m` of a module of ours, will load TensorFlow in its own time."""
    if os.environ.pop("TF_BDECAY_LAZY_IMPORT", None):
        return True
    if sys.argv[:1] != ["-m"] or "-m" not in sys.orig_argv:  # as while packages are imported
        return False
    module = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    return module.startswith("tf_bdecay.")


# `import tf_bdecay` is enough for keras.models.load_model to know our classes.
if not _checks_a_command_line_first():
    importlib.import_module("tf_bdecay.layers")
    importlib.import_module("tf_bdecay.optim")
