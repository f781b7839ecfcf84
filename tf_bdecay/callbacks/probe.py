"""Takes adaptive beta decay's decisions from a probe batch, not from each update's gradients."""

import contextlib
import warnings

import keras
import numpy as np

from tf_bdecay.callbacks.update_log import updates_done
from tf_bdecay.errors import BadInput, check_count, require
from tf_bdecay.frameworks import extras, keras_private
from tf_bdecay.optim.base import DecayByRole, unwrapped


class ProbeDecision(keras.callbacks.Callback):
    """Decides which betas decay from r_l = C_m(beta_l) / C_m(gamma_l) on a probe batch.

    Before update 1, and then after every `every` updates, it measures C_m in training mode
    (`tf_bdecay.sharpness.connectivity`) and writes the decisions into the optimizer, which applies
    them until the next ones. On the training batch itself, at every update and without
    regularisers, this would equal `source="update"` at twice the cost. A resumed run measures at
    the updates where an uninterrupted one would, and uses its checkpoint's decisions until then.

    Args:
        data: pair (x, y) of arrays, the probe batch; m is its length. Under a strategy every
            replica measures all of it.
        every: number of updates between measurements, counting skipped ones. With
            `steps_per_execution`, a measurement waits for the execution to end, and a resumed run
            measures at the same updates only if that number divides the updates of an epoch.
        loss: as in `connectivity`; None for the loss that the model was compiled with. Only the
            loss by example counts: an extra term of the objective has no part in the decision.

    Raises:
        BadInput: `every` is not a whole number >= 1; when `fit` begins, the model's optimizer is
            not one of tf_bdecay, its policy does not ask for a probe's decisions, Keras runs on a
            backend other than TensorFlow, or the data are not a pair of as many x as y; before the
            first update, the model, the loss or the data cannot be measured, or the first
            sensitivities are not finite. A measurement that fails later causes a warning and an
            entry in `failures`, and leaves the last decision as it is.

    Attributes:
        failures: list of (number of the update that comes next, reason), one per failure since
            `fit` began.

    Example:

        policy = tf_bdecay.decay.AdaptiveBetaDecay(source="probe")
        model.compile(tf_bdecay.Lamb(0.01, weight_decay=policy), loss=loss)
        model.fit(x, y, callbacks=[tf_bdecay.callbacks.ProbeDecision((x[:512], y[:512]), every=10)])
    """

    def __init__(self, data, every, loss=None):
        super().__init__()
        check_count("every", every, of="ProbeDecision", what="a whole number of updates")
        self.data = data
        self.every = int(every)
        self.loss = loss

    def on_train_begin(self, logs=None):
        """Checks the optimizer and the probe data, before anything is trained."""
        extras.check_backend("ProbeDecision")
        from tf_bdecay.sharpness import connectivity
        from tf_bdecay.sharpness.over_examples.stream import Stream

        self._optimizer = _probed_optimizer(self.model)
        self._connectivity = connectivity
        self.failures = []
        Stream(self.data)
        self._epoch_start = None  # number of updates; read when all callbacks have begun
        self._next = None

    def on_epoch_begin(self, epoch, logs=None):
        """Starts counting the epoch's updates."""
        if self._epoch_start is not None:
            self._epoch_start = self._updates

    def on_train_batch_begin(self, batch, logs=None):
        """Measures and decides if it is due."""
        if self._epoch_start is None:
            self._begin(batch)
        updates = self._epoch_start + batch
        if updates >= self._next:
            self._decide()
            self._next = self._following(updates)

    def on_train_batch_end(self, batch, logs=None):
        """Counts the updates that the train function has done."""
        self._updates = self._epoch_start + batch + 1

    def on_epoch_end(self, epoch, logs=None):
        """Reads the update count again: Keras numbers a shortened last execution as a whole one."""
        self._updates = updates_done(self._optimizer)

    def get_state(self):
        """Nothing, for `Resume`: the decision in force and the count are the optimizer's."""
        return {}

    def set_state(self, state):
        """Leaves everything as it is: the counters begin with the first update of a start."""

    def _begin(self, batch):
        optimizer = self._optimizer
        if not optimizer.built:
            with self.model.distribute_strategy.scope():
                optimizer.build(self.model)
        updates = updates_done(optimizer)
        self._epoch_start = updates - batch
        self._next = updates
        if updates:  # otherwise the first decision shows whether it can measure
            self._try()
        if not self._due(updates):  # a resumed run: its state has the decision in force
            decision = optimizer.decision()
            optimizer.set_decision(decision.decay_on, decision.bias_ratio)
            self._next = self._following(updates)

    def _due(self, updates):
        """Whether an uninterrupted run measures before the execution that follows `updates`.

        It does if the previous execution began below the last multiple of `every`.
        """
        before = updates - self.model.steps_per_execution  # < 0 at the start, which is due
        return updates // self.every > before // self.every

    def _following(self, updates):
        return (updates // self.every + 1) * self.every

    def _measure(self, **session):
        return self._connectivity(
            self.model,
            self.loss,
            self.data,
            per_example=False,
            training=True,
            full_precision=False,  # as the updates compute
            roles=self._optimizer.roles,
            **session,
        )

    def _try(self):
        """Raises `BadInput` now if a resumed run could not measure later."""
        from tf_bdecay.sharpness.over_examples.network import NotFinite
        from tf_bdecay.sharpness.session import Trial, TrialOver

        with contextlib.suppress(TrialOver, NotFinite):
            self._measure(session=Trial())

    def _decide(self):
        optimizer = self._optimizer
        try:
            ratio, on = self._decision(self._measure().shares)
        except Exception as error:  # whatever it is, training matters more
            self._keep(error)
            return
        optimizer.set_decision(on, ratio)

    def _decision(self, shares):
        """r and the decision, from C_m of each variable that the model trains now.

        The optimizer may have been built in another order, and with variables frozen since then.
        """
        optimizer = self._optimizer
        present = keras_private.indices_of(optimizer, self.model.trainable_variables)
        sensitivity = np.zeros(len(optimizer.roles))
        sensitivity[present] = shares
        return optimizer.decision_from(sensitivity, present)

    def _keep(self, error):
        """Keeps the last decision after a failed measurement, and warns; the first must succeed."""
        from tf_bdecay.sharpness.over_examples.inputs import reason
        from tf_bdecay.sharpness.over_examples.network import NotFinite

        not_finite = isinstance(error, NotFinite)
        if self._next == 0:
            if isinstance(error, BadInput) and not not_finite:
                raise error
            what = "the sensitivities on the probe batch are not finite. " if not_finite else ""
            raise BadInput(
                f"ProbeDecision has no first decision: {what}{reason(error)}."
            ) from error
        self.failures.append((self._next + 1, reason(error)))
        what = "are not finite" if not_finite else "were not measured"
        warnings.warn(
            f"The sensitivities on the probe batch {what} before update {self._next + 1}: "
            f"ProbeDecision keeps its last decision. {reason(error)}.",
            stacklevel=2,
        )


def _probed_optimizer(model):
    """The tf_bdecay optimizer of a model, whose policy must take its decisions from a probe."""
    optimizer = unwrapped(model.optimizer)
    require(
        isinstance(optimizer, DecayByRole),
        "ProbeDecision writes decisions into an optimizer of tf_bdecay, such as tf_bdecay.Lamb: "
        f"compile the model with one. Received: optimizer={type(optimizer).__name__}",
    )
    policy = optimizer.weight_decay
    require(
        policy.adaptive and policy.source == "probe",
        "ProbeDecision needs a policy that takes its decisions: "
        f"AdaptiveBetaDecay(source='probe'). Received: weight_decay={policy!r}",
    )
    return optimizer
