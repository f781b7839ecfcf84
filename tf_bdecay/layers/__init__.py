"""Layers: normalization by ghost batches."""

from tf_bdecay.layers.ghost_batch_norm import GhostBatchNormalization

__all__ = ["GhostBatchNormalization"]
