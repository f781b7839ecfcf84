"""What an optimizer decided and counted, and how callbacks and users read or set it.

The decision itself is `step.decide`.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from tf_bdecay.errors import require
from tf_bdecay.optim import step


class Decision(NamedTuple):
    """What the last update measured and decided, as NumPy arrays.

    Attributes:
        layers: labels of the L paired normalization layers.
        bias_ratio: [L] float32, r_l of training.
        decay_on: [L] bool, whether the layer's beta decayed.
        labels: labels of the V trainable variables.
        sensitivity: [V] float32, C_m of each variable, m the global batch; in units of the loss.
        trust_ratio: [V] float32, 1 for a variable that is not adapted.
        gradient_norm: [V] float32, ||g|| of each variable's reduced gradient before clipping, where
            the optimizer keeps it (`gradient_norms=True`); else None.
    """

    layers: tuple
    bias_ratio: np.ndarray
    decay_on: np.ndarray
    labels: tuple
    sensitivity: np.ndarray
    trust_ratio: np.ndarray
    gradient_norm: np.ndarray | None = None


class Decides:
    """The part of `DecayByRole` that reports decisions and accepts them from outside."""

    def decision(self) -> Decision:
        """The `Decision` of the last update, fetched from the device."""
        require(self.built, f"{type(self).__name__} has no decision before it is built.")
        return Decision(
            layers=tuple(pair.layer for pair in self.roles.pairs),
            bias_ratio=self.bias_ratio.numpy(),
            decay_on=self.decay_on.numpy(),
            labels=tuple(v.label for v in self.roles.variables),
            sensitivity=self.sensitivity.numpy(),
            trust_ratio=self.trust_ratio.numpy(),
            gradient_norm=self.gradient_norm.numpy() if self.gradient_norms else None,
        )

    def totals(self):
        """Totals over all updates so far.

        Returns:
            Dict of `updates`, `skipped_updates`, `skipped_in_a_row` (ints), `learning_rate_sum`
            (float), `decay_on_updates` and `switches` ([L] ints by normalization layer).
        """
        require(self.built, f"{type(self).__name__} has no totals before it is built.")
        return {
            "updates": int(self.iterations.numpy()),
            "skipped_updates": int(self.skipped_updates.numpy()),
            "skipped_in_a_row": int(self.skipped_in_a_row.numpy()),
            "learning_rate_sum": float(self.learning_rate_sum.numpy()),
            "decay_on_updates": self.decay_on_updates.numpy(),
            "switches": self.switches.numpy(),
        }

    def decision_from(self, sensitivity, present=None):
        """r_l of every pair and whether its beta decays, by this optimizer's policy (sec. 4.2).

        Args:
            sensitivity: [V] floats, C_m of every variable that the optimizer was built with.
            present: indices of the variables whose C_m was measured (others were frozen later);
                None for all. A pair that lacks one has ratio 0 and no adaptive decay.

        Returns:
            NumPy arrays [L]: r_l, and booleans, as `set_decision` takes them.
        """
        require(self.built, "A decision needs the pairs: build the optimizer first.")
        c = ops.convert_to_tensor(np.asarray(sensitivity, "float32"))
        found = step.decide(self.layout, c, range(len(self.roles)) if present is None else present)
        ratio, on = (ops.convert_to_numpy(t) for t in found)
        return ratio, on

    def set_decision(self, decay_on, bias_ratio=None):
        """Writes the decision that updates apply from now on, for `source="probe"`.

        Args:
            decay_on: [L] booleans, in the order of `roles.pairs`.
            bias_ratio: [L] floats, the r_l that led to it; left as it was if None.
        """
        require(
            self.weight_decay.source == "probe",
            f"{self.weight_decay!r} decides by itself: a decision can be set only with "
            "AdaptiveBetaDecay(source='probe').",
        )
        require(self.built, "A decision can be set only once the optimizer is built.")
        shape = (len(self.roles.pairs),)
        for value in (decay_on,) if bias_ratio is None else (decay_on, bias_ratio):
            require(
                np.shape(value) == shape,
                f"A decision has one value for each of the {shape[0]} gamma-beta pairs. "
                f"Received: shape {np.shape(value)}",
            )
        decay_on = np.asarray(decay_on, "bool")
        if self.iterations.numpy() > 0:
            self.switches.assign_add((decay_on != self.decay_on.numpy()).astype("int64"))
        self.decay_on.assign(decay_on)
        if bias_ratio is not None:
            self.bias_ratio.assign(np.asarray(bias_ratio, "float32"))
        self._decided_by_probe = True
