"""Connectivity sharpness: its formulas for any backend, and its measurement with TensorFlow."""

import importlib

from tf_bdecay.sharpness.sensitivity import bias_ratio, connection_sensitivity, l1_norms

__all__ = [
    "ConnectivityResult",
    "bias_ratio",
    "connection_sensitivity",
    "connectivity",
    "l1_norms",
    "loss_gradients_and_sensitivity",
]

# Where the names that need TensorFlow are defined. No module here may be called as a name of this
# table: importing it would put the module in the name's place.
_NEED_TENSORFLOW = {
    "ConnectivityResult": "result",
    "connectivity": "measure",
    "loss_gradients_and_sensitivity": "tape",
}


def __getattr__(name):
    """Imports what needs TensorFlow when it is first asked for.

    Raises:
        BadInput: Keras runs on another backend.
    """
    if name not in _NEED_TENSORFLOW:
        raise AttributeError(f"module 'tf_bdecay.sharpness' has no attribute {name!r}")
    import keras

    from tf_bdecay.errors import require

    backend = keras.backend.backend()
    require(
        backend == "tensorflow",
        f"tf_bdecay.sharpness.{name} measures with TensorFlow: set KERAS_BACKEND=tensorflow before "
        f"Keras is imported. Received: KERAS_BACKEND={backend}",
    )
    module = importlib.import_module(f"tf_bdecay.sharpness.{_NEED_TENSORFLOW[name]}")
    return getattr(module, name)
