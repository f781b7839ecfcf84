"""Sharpness measures in TensorFlow, and formulas of connectivity sharpness for any backend.

Where to find the paper's quantities:

    eq. 4, C; C_m                      connectivity_sharpness.py
    their gradients, per example       over_examples/tape.py
    eq. 7, sensitivity; r (sec. 4.2)   tf_bdecay/sensitivity.py
    eq. 8, Fisher-Rao norm             fisher.py
    eq. 9, rescaling; Theorem 3.1      rescaling/rescale.py; rescaling/theorem.py
    eq. 11, split over layers          partition.py, results/result.py
    Tr(H), lambda(H), spectrum         curvature/, products in curvature/operator.py
    SAM, ASAM                          ascent.py
    connectivity tangent kernel        tangent_kernel.py

Every measure sums a kernel's results over the chunks of a `Stream` of examples
(over_examples/stream.py); `Network.mean` (over_examples/network.py) takes the sum. A finished
measurement is a `Result` (results/result.py). As JSON values, from which files, tables and pictures
are made, it is a plain result (results/plain_result.py, results/pictures.py). registry.py lists the
measures by the names that flags and callbacks use.

`python -m tf_bdecay.sharpness` is implemented in tf_bdecay/sharpness_command/.
"""

from tf_bdecay.frameworks import extras, lazy

_ANY_BACKEND = (
    "bias_ratio",
    "connection_sensitivity",
    "l1_norms",
    "reparameterize",
    "rescalable_units",
)


def _check(name):
    """Raises `BadInput` if `name` needs another Keras backend, or a package that is missing."""
    if name in _ANY_BACKEND:
        return
    extras.check_backend(f"tf_bdecay.sharpness.{name}")
    scipy = ["scipy"] if name.startswith("hessian") or name == "invariance" else []
    extras.check(f"tf_bdecay.sharpness.{name}", "tensorflow", *scipy)


__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__, _check)
