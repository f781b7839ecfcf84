"""Optional packages: which of our extras installs them, and the error if one is missing.

The core needs Keras, NumPy and what Keras itself installs; a module that needs more calls `check`
before it imports that. Importing this module needs neither of them.
"""

import importlib.util
import sys

from tf_bdecay.errors import BadInput, require

# Module -> the package that contains it. setup.py has the ranges of versions.
TRAIN = {
    "PIL": "pillow",
    "absl": "absl-py",
    "google_crc32c": "google-crc32c",
    "importlib_resources": "importlib_resources",
    "matplotlib": "matplotlib",
    "ml_collections": "ml_collections",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "rich": "rich",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "tensorboard": "tensorboard",
    "tensorflow_datasets": "tensorflow-datasets",
}
_BACKENDS = {"tensorflow": "tensorflow"}


class MissingPackage(ModuleNotFoundError, BadInput):
    """A package is not installed: one sentence that names it and the extra that installs it."""


def check(what, *modules):
    """Raises `MissingPackage` unless all modules can be imported; imports none.

    Args:
        what: what needs them, to begin the sentence: "tf_bdecay.Trainer".
        *modules: names of modules, from the tables above.
    """
    missing = [name for name in modules if not _is_there(name)]
    if not missing:
        return
    packages = ", ".join({**TRAIN, **_BACKENDS}[name] for name in missing)
    install = "pip install 'tf_bdecay[train]'"
    if "tensorflow" in missing:
        install = "pip install 'tf_bdecay[cpu]', or [gpu] or [tpu] where there is one"
    are = "is" if len(missing) == 1 else "are"
    raise MissingPackage(
        f"{what} needs {packages}, which {are} not installed: {install}.", name=missing[0]
    )


def check_backend(what):
    """Raises `BadInput` unless Keras computes with TensorFlow.

    Args:
        what: what needs it, to begin the sentence: "tf_bdecay.Trainer".
    """
    import keras

    backend = keras.backend.backend()
    require(
        backend == "tensorflow",
        f"{what} works with TensorFlow alone: set KERAS_BACKEND=tensorflow before Keras is "
        f"imported. Received: KERAS_BACKEND={backend}",
    )


def _is_there(name):
    if name in sys.modules:
        return sys.modules[name] is not None
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # from an import finder
        return False
