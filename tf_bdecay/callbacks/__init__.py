"""Callbacks for anybody's `fit`."""

from tf_bdecay.callbacks.probe import ProbeDecision

__all__ = ["ProbeDecision"]
