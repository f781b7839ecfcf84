"""Learning-rate schedules of the paper (appendix A.1), counted in updates.

A schedule is called with t, the number of updates done so far, so updates number 1 to T have the
rates of the formula at t = 0 to T - 1: the first update has the initial rate, and one after the
last would have the final one.
"""

import math

import keras
import numpy as np
from keras import ops

from tf_bdecay.batches import updates_per_epoch
from tf_bdecay.errors import check_count, check_number, require


class _Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A rise over `warmup_updates`, then a fall until `total_updates`."""

    def __init__(self, peak, total_updates, warmup_updates):
        kind = type(self).__name__
        check_number("peak", peak, of=kind)
        what = "a whole number of updates"
        check_count("total_updates", total_updates, of=kind, what=what)
        check_count("warmup_updates", warmup_updates, least=0, of=kind, what=what)
        require(
            warmup_updates <= total_updates,
            f"{kind} cannot warm up for longer than it runs. Received: "
            f"warmup_updates={warmup_updates}, total_updates={total_updates}",
        )
        self.peak = float(peak)
        self.total_updates = int(total_updates)
        self.warmup_updates = int(warmup_updates)

    def __call__(self, step):
        """The rate of the update that follows `step` updates: a tensor shaped as `step`."""
        # At least float32: fewer bits cannot count updates.
        t = ops.cast(step, "float64" if keras.config.floatx() == "float64" else "float32")
        rising = ops.clip(t / max(self.warmup_updates, 1), 0, 1)
        falling = (t - self.warmup_updates) / max(self.total_updates - self.warmup_updates, 1)
        return ops.where(
            t < self.warmup_updates, self._rise(rising), self._fall(ops.clip(falling, 0, 1))
        )

    def sum(self) -> float:
        """The sum of eta over all updates, for comparing runs at different batch sizes."""
        rates = self(np.arange(self.total_updates))
        return float(np.sum(ops.convert_to_numpy(rates), dtype="float64"))


@keras.saving.register_keras_serializable("tf_bdecay")
class PolynomialWarmupDecay(_Warmup):
    """Polynomial warm-up and decay (Nado et al., 2021; appendix A.1).

        eta(t) = initial + (peak - initial) (t / W)^p_warmup                     t < W
        eta(t) = final + (peak - final) (1 - (t - W) / (T - W))^p_decay          W <= t <= T

    Args:
        peak: eta_peak.
        total_updates: T.
        warmup: W as a fraction of T, in [0, 1]; the paper's is 0.3. W is rounded.
        power_warmup, power_decay: p_warmup, p_decay >= 0.
        initial, final: rates at t = 0 and t = T.

    Raises:
        BadInput: a value out of range.
    """

    def __init__(
        self,
        peak,
        total_updates,
        warmup=0.3,
        power_warmup=2.0,
        power_decay=2.0,
        initial=0.0,
        final=0.0,
    ):
        kind = type(self).__name__
        check_number("warmup", warmup, of=kind, most=1)
        for name, value in (
            ("power_warmup", power_warmup),
            ("power_decay", power_decay),
            ("initial", initial),
            ("final", final),
        ):
            check_number(name, value, of=kind)
        check_number("total_updates", total_updates, least=1, of=kind)
        super().__init__(peak, total_updates, round(warmup * total_updates))
        self.warmup = warmup
        self.power_warmup = power_warmup
        self.power_decay = power_decay
        self.initial = initial
        self.final = final

    def _rise(self, x):
        return self.initial + (self.peak - self.initial) * ops.power(x, self.power_warmup)

    def _fall(self, x):
        return self.final + (self.peak - self.final) * ops.power(1 - x, self.power_decay)

    def get_config(self):
        """The arguments that recreate this schedule."""
        return {
            "peak": self.peak,
            "total_updates": self.total_updates,
            "warmup": self.warmup,
            "power_warmup": self.power_warmup,
            "power_decay": self.power_decay,
            "initial": self.initial,
            "final": self.final,
        }


@keras.saving.register_keras_serializable("tf_bdecay")
class LinearWarmupCosine(_Warmup):
    """Linear warm-up and cosine decay, as in the SGD runs (appendix A.1).

        eta(t) = peak t / W                                        t < W
        eta(t) = peak (1 + cos(pi (t - W) / (T - W))) / 2          W <= t <= T

    Args:
        peak: the largest rate.
        total_updates: T.
        warmup_updates: W; in the paper, the updates of 10 epochs.

    Raises:
        BadInput: a value out of range.
    """

    def _rise(self, x):
        return self.peak * x

    def _fall(self, x):
        return self.peak * 0.5 * (1 + ops.cos(math.pi * x))

    def get_config(self):
        """The arguments that recreate this schedule."""
        return {
            "peak": self.peak,
            "total_updates": self.total_updates,
            "warmup_updates": self.warmup_updates,
        }


def scale_learning_rate(peak, batch, base_batch) -> float:
    """Square-root scaling of the peak rate: eta_peak sqrt(batch / base_batch) (appendix A.2).

    At fixed epochs the sum of eta then scales as batch^-1/2.

    Args:
        peak: rate at the base batch; 0.04 in the paper.
        batch: global batch, in examples.
        base_batch: 8192 on CIFAR, 32768 on ImageNet.

    Returns:
        The peak rate, a float.

    Raises:
        BadInput: a batch is not positive, or the rate is negative.
    """
    check_number("peak", peak, of="scale_learning_rate")
    check_number("batch", batch, of="scale_learning_rate", above=0)
    check_number("base_batch", base_batch, of="scale_learning_rate", above=0)
    return peak * math.sqrt(batch / base_batch)


def for_batch(
    batch_size, num_examples, epochs, base_peak=0.04, base_batch=8192, remainder="keep", **shape
) -> PolynomialWarmupDecay:
    """The schedule for your batch, derived from a batch and rate that are known to work.

        T = epochs * updates an epoch        eta_peak = base_peak sqrt(batch_size / base_batch)

    The warm-up takes 0.3 T, a share of the run and not a number of updates, as in the paper for
    LAMB (appendices A.1 and A.2). At fixed epochs the sum of eta, `schedule.sum()`, then scales as
    batch^-1/2: for CIFAR's 50,000 pictures in 200 epochs, it is 16 at a batch of 8,192 and 65 at
    512.

    Args:
        batch_size: global batch B, in examples, of all replicas and micro-batches together.
        num_examples: n, the size of the training set.
        epochs: int >= 1.
        base_peak: the peak rate at the reference batch; 0.04 is the paper's for LAMB.
        base_batch: the reference batch: 8192 on CIFAR, 32768 on ImageNet in the paper.
        remainder: what happens to the n mod B examples left over: "keep" makes them a last, smaller
            batch, as Keras' `fit` does with arrays; "drop" leaves them out, as a data set with
            `drop_remainder=True` does.
        **shape: `warmup`, `power_warmup`, `power_decay`, `initial`, `final` of
            `PolynomialWarmupDecay`.

    Returns:
        A `PolynomialWarmupDecay`; it has `peak`, `total_updates` and `warmup_updates`.

    Raises:
        BadInput: an argument out of range, or a batch larger than the data set.

    Example:

        schedule = tf_bdecay.schedules.for_batch(2048, num_examples=50_000, epochs=90)
        model.compile(tf_bdecay.Lamb(schedule), "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=2048, epochs=90)
    """
    check_count("epochs", epochs, of="for_batch")
    total = epochs * updates_per_epoch(num_examples, batch_size, remainder)
    return PolynomialWarmupDecay(
        scale_learning_rate(base_peak, batch_size, base_batch), total, **shape
    )
