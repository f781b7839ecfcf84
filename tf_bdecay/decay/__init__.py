"""Decay policies: which variable decays by how much, and when (Tables 1 to 5, Fig. 1).

docs/method.md, "Decay policies", has their table.

A policy maps roles to coefficients, and the ratios r_l of an update to decisions. To write your
own, subclass `DecayPolicy` and register it with `keras.saving.register_keras_serializable`:

    @keras.saving.register_keras_serializable("mine")
    class DeepLayersOnly(tf_bdecay.decay.DecayPolicy):
        def coefficient(self, variable):  # a `VariableRole`; called on build, not in updates
            deep = variable.matches("stage4.*")  # also in a model that was loaded
            return 0.01 if variable.role == "kernel" and deep else 0.0

For a decision that depends on r_l, override `decide(ratio)` as well and set `adaptive = True`. To
change only the coefficients of a few variables, wrap a policy in `WithPaths`.
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
