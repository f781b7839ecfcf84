"""The optimizers, their decay policies, schedules, and the roles of variables."""

from tf_bdecay.optim.describe import describe
from tf_bdecay.optim.lamb import Lamb
from tf_bdecay.optim.roles import roles_of
from tf_bdecay.optim.sgd import SGD

__all__ = ["SGD", "Lamb", "describe", "roles_of"]
