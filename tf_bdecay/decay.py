"""Decay policies: `tf_bdecay.optim.decay` under a short name."""

from tf_bdecay.optim.decay import (
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
