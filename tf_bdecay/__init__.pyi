from tf_bdecay import callbacks as callbacks
from tf_bdecay import data as data
from tf_bdecay import decay as decay
from tf_bdecay import layers as layers
from tf_bdecay import models as models
from tf_bdecay import schedules as schedules
from tf_bdecay import sharpness as sharpness
from tf_bdecay.layers import ghostify as ghostify
from tf_bdecay.optim import SGD as SGD
from tf_bdecay.optim import AdamW as AdamW
from tf_bdecay.optim import Lamb as Lamb
from tf_bdecay.optim import Lars as Lars
from tf_bdecay.optim import LossScaleOptimizer as LossScaleOptimizer
from tf_bdecay.optim import describe as describe
from tf_bdecay.roles import roles_of as roles_of
from tf_bdecay.training.step.sharpness_aware import SharpnessAware as SharpnessAware
from tf_bdecay.training.step.trainer import Trainer as Trainer

__version__: str
