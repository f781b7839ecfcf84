"""Callbacks for anybody's `fit`."""

from tf_bdecay.callbacks.probe import ProbeDecision
from tf_bdecay.callbacks.sharpness import SharpnessCallback

__all__ = ["ProbeDecision", "SharpnessCallback"]
