"""Learning-rate schedules: `tf_bdecay.optim.schedules` under a short name."""

from tf_bdecay.optim.schedules import (
    LinearWarmupCosine,
    PolynomialWarmupDecay,
    scale_learning_rate,
)

__all__ = ["LinearWarmupCosine", "PolynomialWarmupDecay", "scale_learning_rate"]
