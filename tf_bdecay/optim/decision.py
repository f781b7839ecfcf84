"""What an update decided, for people and reports."""

from typing import NamedTuple

import numpy as np


class Decision(NamedTuple):
    """What the last update measured and decided, as NumPy arrays.

    Attributes:
        layers: labels of the L paired normalization layers.
        bias_ratio: [L] float32, r_l of training.
        decay_on: [L] bool, whether the layer's beta decayed.
        labels: labels of the V trainable variables.
        sensitivity: [V] float32, C_m of each variable, m the global batch; in units of the loss.
        trust_ratio: [V] float32, 1 for a variable that is not adapted.
    """

    layers: tuple
    bias_ratio: np.ndarray
    decay_on: np.ndarray
    labels: tuple
    sensitivity: np.ndarray
    trust_ratio: np.ndarray
