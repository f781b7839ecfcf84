"""Large-batch training for Keras that keeps the accuracy of small batches.

`Lamb` decays the beta of each normalization layer in the updates in which that layer's connectivity
sharpness ratio r_l = C(beta_l) / C(gamma_l) is large.

Names are imported when they are first asked for: some need TensorFlow, and a wrong command line is
refused before it loads. Where Keras or TensorFlow is loaded already, our classes are registered at
once, so that `keras.models.load_model` knows them.
"""

import importlib
import sys

__version__ = "0.1.0"

_MODULES = ("callbacks", "data", "decay", "layers", "models", "schedules", "sharpness")
_HOMES = {
    "AdamW": "optim",
    "Lamb": "optim",
    "Lars": "optim",
    "LossScaleOptimizer": "optim",
    "SGD": "optim",
    "SharpnessAware": "training.sharpness_aware",  # TensorFlow's
    "Trainer": "training.trainer",  # TensorFlow's
    "describe": "optim",
    "ghostify": "layers",
    "roles_of": "roles",
}
__all__ = sorted([*_MODULES, *_HOMES])


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"tf_bdecay.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"tf_bdecay.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'tf_bdecay' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})


if {"keras", "tensorflow"} & sys.modules.keys():
    for _name in ("layers", "optim", "schedules"):
        importlib.import_module(f"tf_bdecay.{_name}")
