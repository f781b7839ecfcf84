"""Ghost batch normalization, and the conversion of models to it."""

from tf_bdecay.layers.conversion import ghostify
from tf_bdecay.layers.ghost_batch_norm import GhostBatchNormalization

__all__ = ["GhostBatchNormalization", "ghostify"]
