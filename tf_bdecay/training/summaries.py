"""What a run leaves behind of every k-th update: C, r and the decision by layer, rates, ratios.

The optimizer has all of it as state on the device; one fetch every k updates brings it here. It
goes to TensorBoard as one event of many values, and to `layers.csv`.
"""

import numpy as np

from tf_bdecay.optim.base import unwrapped
from tf_bdecay.roles import kinds_of
from tf_bdecay.storage.events import EPOCH_TAG, Events, cut_back
from tf_bdecay.storage.tables import Table
from tf_bdecay.training.position import CountsUpdates, Position

LAYER_COLUMNS = ("update", "layer", "C_beta", "C_gamma", "r", "decay_on")


class UpdateSummaries(CountsUpdates):
    """Writes the decision of every k-th update to TensorBoard and to layers.csv.

    Args:
        workdir: the run's `Workdir`, opened.
        schedule: the learning rate by updates done.
        every: k, in updates.
        updates_per_epoch: to number the updates.
        start: the `Position` from which the run goes on.
        pages: dict of title to text, shown on TensorBoard's text page.
    """

    def __init__(self, workdir, schedule, every, updates_per_epoch, start=None, pages=None):
        start = start or Position()
        super().__init__(updates_per_epoch, start.update)
        self.schedule = schedule
        self.every = every
        cut_back(workdir.tensorboard, start.update, start.epoch * updates_per_epoch)
        self._events = Events(workdir.tensorboard)
        self._table = Table(workdir.path / "layers.csv", LAYER_COLUMNS, after=start.update)
        self._written = start.update // every
        if start.update:
            self._events.restarted(start.update)
            return
        for title, text in (pages or {}).items():
            self._events.text(title, text)

    def on_train_begin(self, logs=None):
        self._kinds = np.array(kinds_of(self.model, unwrapped(self.model.optimizer).roles))

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if self.done // self.every > self._written:  # an execution may step over a multiple
            self._written = self.done // self.every
            self._write(self.done)

    def on_epoch_end(self, epoch, logs=None):
        update = (epoch + 1) * self.updates_per_epoch
        self._events.scalars(update, {f"{EPOCH_TAG}{k}": v for k, v in (logs or {}).items()})

    def flush(self):
        """Brings everything written so far to the disk."""
        self._table.flush()
        self._events.flush()

    def _write(self, update):
        optimizer = unwrapped(self.model.optimizer)
        decision, roles = optimizer.decision(), optimizer.roles
        values = {"learning_rate": last_learning_rate(self.schedule, optimizer)}
        for i, pair in enumerate(roles.pairs):
            row = dict(
                C_beta=decision.sensitivity[pair.beta],
                C_gamma=decision.sensitivity[pair.gamma],
                r=decision.bias_ratio[i],
                decay_on=int(decision.decay_on[i]),
            )
            values.update({f"{name}/{pair.layer}": value for name, value in row.items()})
            self._table.add(update=update, layer=pair.layer, **row)
        if roles.pairs:
            values["decay_on_fraction"] = decision.decay_on.mean()
        values.update(self._by_kind(decision.sensitivity))
        for variable, ratio in zip(roles.variables, decision.trust_ratio, strict=True):
            if optimizer.adapts(variable):
                values[f"trust_ratio/{variable.label}"] = ratio
        self._events.scalars(update, values)

    def _by_kind(self, sensitivity):
        """C_m by kind (Table 2) and in total, as TensorBoard tags."""
        sums = {f"C/{k}": sensitivity[self._kinds == k].sum() for k in dict.fromkeys(self._kinds)}
        return {**sums, "C/Total": sensitivity.sum()}


def last_learning_rate(schedule, optimizer):
    """The rate of the update done last: a float."""
    return float(schedule(max(optimizer.totals()["updates"] - 1, 0)))
