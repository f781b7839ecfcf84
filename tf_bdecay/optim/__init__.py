"""The optimizers, and the table of what they do to every variable."""

from tf_bdecay.optim.adamw import AdamW
from tf_bdecay.optim.describe import describe
from tf_bdecay.optim.lamb import Lamb
from tf_bdecay.optim.lars import Lars
from tf_bdecay.optim.loss_scale import LossScaleOptimizer
from tf_bdecay.optim.sgd import SGD

OPTIMIZERS = {"lamb": Lamb, "lars": Lars, "adamw": AdamW, "sgd": SGD}  # by name in configs

__all__ = ["OPTIMIZERS", "SGD", "AdamW", "Lamb", "Lars", "LossScaleOptimizer", "describe"]
