"""Callbacks between epochs: the row of metrics.csv, the checkpoint, the stop of a diverged run."""

import math
import time

import keras
import numpy as np

from tf_bdecay.training import checkpoints
from tf_bdecay.training.progress import Speed
from tf_bdecay.training.summaries import last_learning_rate
from tf_bdecay.training.tables import Table

EPOCH_COLUMNS = (
    "epoch",
    "update",
    "loss",
    "accuracy",
    "{split}_loss",
    "{split}_accuracy",
    "learning_rate",
    "decay_on_fraction",
    "skipped_updates",
    "images_per_second",
    "seconds",
)


class Diverged(RuntimeError):
    """Loss or gradients were not finite for too many updates in a row; `update` is the last."""

    def __init__(self, message, update):
        super().__init__(message)
        self.update = update


class EpochRows(keras.callbacks.Callback):
    """Writes a row of metrics.csv at the end of each epoch.

    `decay_on_fraction` is over the epoch's updates and the paired normalization layers.

    Args:
        workdir: the run's `Workdir`, opened.
        schedule: the learning rate by updates done.
        split: "test" or "validation", what the epochs are evaluated on.
        updates_per_epoch, batch_size: of the run.
        after: the number of updates from which this run goes on.
    """

    def __init__(self, workdir, schedule, split, updates_per_epoch, batch_size, after=0):
        super().__init__()
        self.schedule = schedule
        self.updates_per_epoch = updates_per_epoch
        self.split = split
        columns = [name.format(split=split) for name in EPOCH_COLUMNS]
        self.table = Table(workdir.path / "metrics.csv", columns, after=after)
        self._speed = Speed(batch_size)

    def on_epoch_begin(self, epoch, logs=None):
        self._speed.begin_epoch()
        self._began = time.perf_counter()
        self._on_before = self._totals()["decay_on_updates"].sum()

    def on_train_batch_end(self, batch, logs=None):
        self._speed.count(batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        totals = self._totals()
        on = totals["decay_on_updates"]
        opportunities = len(on) * self.updates_per_epoch
        logs = {k.replace("val_", f"{self.split}_"): v for k, v in (logs or {}).items()}
        self.table.add(
            epoch=epoch + 1,
            update=(epoch + 1) * self.updates_per_epoch,
            learning_rate=last_learning_rate(self.schedule, self.model.optimizer),
            decay_on_fraction=(on.sum() - self._on_before) / opportunities if len(on) else "",
            skipped_updates=totals["skipped_updates"],
            images_per_second=round(self._speed.images_per_second, 1),
            seconds=round(time.perf_counter() - self._began, 3),
            **logs,
        )
        self.table.flush()

    def _totals(self):
        return self.model.optimizer.totals()


class Checkpoints(keras.callbacks.Callback):
    """Saves at the end of every k-th epoch and of the last: after all else that epoch wrote.

    Args:
        folder: where they go.
        state: from `checkpoints.state_of`.
        every: k, in epochs.
        keep: how many.
        updates_per_epoch, epochs: of the run.
    """

    def __init__(self, folder, state, every, keep, updates_per_epoch, epochs):
        super().__init__()
        self.folder, self.state, self.every, self.keep = folder, state, every, keep
        self.updates_per_epoch, self.epochs = updates_per_epoch, epochs

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.epochs:
            meta = {"epoch": epoch + 1, "update": (epoch + 1) * self.updates_per_epoch}
            checkpoints.save(self.folder, self.state, meta, self.keep)


class StopDiverged(keras.callbacks.Callback):
    """Raises `Diverged` after too many skipped updates in a row.

    The optimizer counts them on the device; the counter is fetched every few updates, and when the
    loss that `fit` fetches anyway is not finite.

    Args:
        limit: how many in a row are too many.
        updates_per_epoch: to number the updates.
    """

    def __init__(self, limit, updates_per_epoch):
        super().__init__()
        self.limit = limit
        self.updates_per_epoch = updates_per_epoch
        self._first = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._first = epoch * self.updates_per_epoch

    def on_train_batch_end(self, batch, logs=None):
        update = self._first + batch + 1
        finite = math.isfinite((logs or {}).get("loss", 0.0))
        if finite and update % self.limit and batch + 1 < self.updates_per_epoch:
            return
        optimizer = self.model.optimizer
        in_a_row = optimizer.totals()["skipped_in_a_row"]
        if not optimizer.skip_nonfinite and not np.isfinite(optimizer.decision().sensitivity).all():
            raise Diverged(
                f"Loss or gradients are not finite at update {update}, and config.optimizer."
                "skip_nonfinite is off, so the weights are lost: the run stops.",
                update,
            )
        if in_a_row >= self.limit:
            reached = update - in_a_row + self.limit
            raise Diverged(
                f"Loss or gradients were not finite in {self.limit} updates in a row, the last of "
                f"them update {reached}: the run stops.",
                reached,
            )
