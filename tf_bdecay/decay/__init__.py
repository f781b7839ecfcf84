"""Decay policies: which variable decays by how much, and when (Tables 1 to 5, Fig. 1).

Their table: docs/method.md, "Decay policies".

A policy maps roles to coefficients, and the ratios r_l of this update to decisions. To write one's
own, subclass `DecayPolicy` and register it with `keras.saving.register_keras_serializable`:

    @keras.saving.register_keras_serializable("mine")
    class DeepLayersOnly(tf_bdecay.decay.DecayPolicy):
        def coefficient(self, variable):  # a `VariableRole`; asked when building, not in an update
            deep = "stage4" in variable.path  # not startswith: a model's name changes on load
            return 0.01 if variable.role == "kernel" and deep else 0.0

Override `decide(ratio)` as well, and set `adaptive = True`, for a decision that depends on r_l. For
other coefficients of a few variables `WithPaths` around a policy is enough.
"""

from tf_bdecay.decay.by_path import WithPaths
from tf_bdecay.decay.policies import (
    POLICIES,
    AdaptiveBetaDecay,
    BetaDecay,
    BiasDecay,
    DecayPolicy,
    FullDecay,
    GammaDecay,
    NoBiasDecay,
    NoDecay,
    checked_coefficient,
    get,
)

__all__ = [
    "POLICIES",
    "AdaptiveBetaDecay",
    "BetaDecay",
    "BiasDecay",
    "DecayPolicy",
    "FullDecay",
    "GammaDecay",
    "NoBiasDecay",
    "NoDecay",
    "WithPaths",
    "checked_coefficient",
    "get",
]
