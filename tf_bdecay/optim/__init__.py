"""The optimizers, their decay policies, schedules, and the roles of variables."""

from tf_bdecay.optim import schedules
from tf_bdecay.optim.describe import describe
from tf_bdecay.optim.lamb import Lamb
from tf_bdecay.optim.loss_scale import LossScaleOptimizer
from tf_bdecay.optim.sgd import SGD
from tf_bdecay.roles import roles_of

__all__ = ["SGD", "Lamb", "LossScaleOptimizer", "describe", "roles_of", "schedules"]
