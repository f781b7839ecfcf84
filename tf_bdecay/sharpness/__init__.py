"""Sharpness: the formulas of connectivity sharpness for any backend, and TensorFlow's measures.

Where to find what the paper has:

    eq. 4, C; C_m                      connectivity_sharpness.py; gradients by example: tape.py
    eq. 7, sensitivity; r (sec. 4.2)   tf_bdecay/sensitivity.py
    eq. 8, Fisher-Rao norm             fisher.py
    eq. 9, rescaling; Theorem 3.1      rescaling/rescale.py; rescaling/theorem.py
    eq. 11, split over layers          partition.py, result.py
    Tr(H), lambda(H), spectrum         curvature/, products in operator.py
    SAM, ASAM                          ascent.py
    connectivity tangent kernel        tangent_kernel.py

Every measure is a sum over a `Stream` of examples (stream.py) of what a kernel gives for a chunk,
taken by `Network.mean` (network.py). A finished one is a `Result` (result.py); as JSON values, of
which files, tables and pictures are made, a plain result (plain_result.py, pictures.py). Flags and
callbacks know the measures by the names in registry.py.

`python -m tf_bdecay.sharpness` is in tf_bdecay/sharpness_command/.
"""

import importlib

__all__ = [
    "ConnectivityResult",
    "bias_ratio",
    "connection_sensitivity",
    "connectivity",
    "connectivity_tangent_trace",
    "fisher_rao",
    "hessian",
    "hessian_spectrum",
    "hessian_top_eigenvalue",
    "hessian_trace",
    "invariance",
    "l1_norms",
    "loss_gradients_and_sensitivity",
    "perturbation",
    "reparameterize",
    "rescalable_units",
]

# Where the names are defined that are imported when they are first asked for. No module here may be
# called as a name of these tables: importing it would put the module in the name's place.
_ANY_BACKEND = {
    "bias_ratio": "tf_bdecay.sensitivity",
    "connection_sensitivity": "tf_bdecay.sensitivity",
    "l1_norms": "tf_bdecay.sensitivity",
    "reparameterize": "tf_bdecay.sharpness.rescaling.rescale",
    "rescalable_units": "tf_bdecay.sharpness.rescaling.rescale",
}
_NEED_TENSORFLOW = {
    "ConnectivityResult": "tf_bdecay.sharpness.result",
    "connectivity": "tf_bdecay.sharpness.connectivity_sharpness",
    "connectivity_tangent_trace": "tf_bdecay.sharpness.tangent_kernel",
    "fisher_rao": "tf_bdecay.sharpness.fisher",
    "hessian": "tf_bdecay.sharpness.curvature.operator",
    "hessian_spectrum": "tf_bdecay.sharpness.curvature.spectrum",
    "hessian_top_eigenvalue": "tf_bdecay.sharpness.curvature.eigenvalue",
    "hessian_trace": "tf_bdecay.sharpness.curvature.trace",
    "invariance": "tf_bdecay.sharpness.rescaling.theorem",
    "loss_gradients_and_sensitivity": "tf_bdecay.sharpness.tape",
    "perturbation": "tf_bdecay.sharpness.ascent",
}


def __dir__():
    return sorted({*globals(), *__all__})


def __getattr__(name):
    """Imports a name of the tables.

    Raises:
        BadInput: it measures with TensorFlow, and Keras runs on another backend.
    """
    home = _ANY_BACKEND.get(name) or _NEED_TENSORFLOW.get(name)
    if home is None:
        raise AttributeError(f"module 'tf_bdecay.sharpness' has no attribute {name!r}")
    if name in _NEED_TENSORFLOW:
        import keras

        from tf_bdecay.errors import require

        backend = keras.backend.backend()
        require(
            backend == "tensorflow",
            f"tf_bdecay.sharpness.{name} measures with TensorFlow: set KERAS_BACKEND=tensorflow "
            f"before Keras is imported. Received: KERAS_BACKEND={backend}",
        )
    return getattr(importlib.import_module(home), name)
