"""Decay policies: `tf_bdecay.optim.decay` under a short name."""

from tf_bdecay.optim.decay import (
    POLICIES,
    AdaptiveBetaDecay,
    BetaDecay,
    BiasDecay,
    DecayPolicy,
    FullDecay,
    GammaDecay,
    NoBiasDecay,
    NoDecay,
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
    "get",
]
