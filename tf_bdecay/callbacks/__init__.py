"""Callbacks for any `fit`."""

from tf_bdecay.callbacks.averages import AveragedWeights
from tf_bdecay.callbacks.decay_log import DecayLog
from tf_bdecay.callbacks.noise_scale import GradientNoiseScale
from tf_bdecay.callbacks.precise import PreciseStatistics
from tf_bdecay.callbacks.probe import ProbeDecision
from tf_bdecay.callbacks.resuming.resume import Resume
from tf_bdecay.callbacks.sharpness import SharpnessCallback
from tf_bdecay.callbacks.statistics import precise_statistics

__all__ = [
    "AveragedWeights",
    "DecayLog",
    "GradientNoiseScale",
    "PreciseStatistics",
    "ProbeDecision",
    "Resume",
    "SharpnessCallback",
    "precise_statistics",
]
