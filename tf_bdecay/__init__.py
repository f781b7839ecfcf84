"""Large-batch training for Keras that keeps the accuracy of small batches.

`Lamb` decays the beta of each normalization layer in the updates in which that layer's connectivity
sharpness ratio r_l = C(beta_l) / C(gamma_l) is large.

Names, which `__init__.pyi` lists, are imported when they are first asked for: some need TensorFlow,
and a wrong command line is refused before it loads. Where Keras or TensorFlow is loaded already,
our classes are registered at once, so that `keras.models.load_model` knows them.
"""

import importlib
import sys

from tf_bdecay.frameworks import extras, lazy

__version__ = "0.1.0"


def _check(name):
    if name in ("SharpnessAware", "Trainer"):
        extras.check(f"tf_bdecay.{name}", "tensorflow")
    if name == "Trainer":
        extras.check_backend(f"tf_bdecay.{name}")


__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__, _check)

if {"keras", "tensorflow"} & sys.modules.keys():
    for _name in ("layers", "optim", "schedules"):
        importlib.import_module(f"tf_bdecay.{_name}")
