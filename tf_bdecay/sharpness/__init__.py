"""Sharpness: the formulas of connectivity sharpness for any backend, and TensorFlow's measures.

Where to find what the paper has:

    eq. 4, C; C_m                      connectivity_sharpness.py
    their gradients, by example        over_examples/tape.py
    eq. 7, sensitivity; r (sec. 4.2)   tf_bdecay/sensitivity.py
    eq. 8, Fisher-Rao norm             fisher.py
    eq. 9, rescaling; Theorem 3.1      rescaling/rescale.py; rescaling/theorem.py
    eq. 11, split over layers          partition.py, results/result.py
    Tr(H), lambda(H), spectrum         curvature/, products in curvature/operator.py
    SAM, ASAM                          ascent.py
    connectivity tangent kernel        tangent_kernel.py

Every measure is a sum over a `Stream` of examples (over_examples/stream.py) of what a kernel gives
for a chunk, taken by `Network.mean` (over_examples/network.py). A finished one is a `Result`
(results/result.py); as JSON values, of which files, tables and pictures are made, a plain result
(results/plain_result.py, results/pictures.py). Flags and callbacks know the measures by the names
in registry.py.

`python -m tf_bdecay.sharpness` is in tf_bdecay/sharpness_command/.
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
    """Raises `BadInput` for a name that measures with TensorFlow under another backend, or where a
    package is missing.
    """
    if name in _ANY_BACKEND:
        return
    extras.check_backend(f"tf_bdecay.sharpness.{name}")
    scipy = ["scipy"] if name.startswith("hessian") or name == "invariance" else []
    extras.check(f"tf_bdecay.sharpness.{name}", "tensorflow", *scipy)


__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__, _check)
