"""metrics.csv: a row per epoch."""

import math
import time

import numpy as np

from tf_bdecay.callbacks import decisions, noise_scale
from tf_bdecay.errors import require, shown
from tf_bdecay.optim.base import unwrapped
from tf_bdecay.storage.files import fits, is_count
from tf_bdecay.storage.tables import Table
from tf_bdecay.training.building.metrics import METRICS
from tf_bdecay.training.fitting.counts_updates import START, CountsUpdates
from tf_bdecay.training.fitting.progress import Speed
from tf_bdecay.training.run_folder.workdir import ANOTHER


def columns(evaluated, more=(), noise=False):
    """Names of the columns.

    Args:
        evaluated: names of loss and metrics of an epoch's evaluation.
        more: names of the metrics of training beyond the accuracy.
        noise: whether there are those of the gradient noise scale.
    """
    return (
        *("epoch", "update", "loss", "accuracy", *more, *evaluated, "learning_rate"),
        *("decay_on_fraction", "skipped_updates", *(noise_scale.COLUMNS if noise else ())),
        *("images_per_second", "seconds"),
    )


class EpochRows(CountsUpdates):
    """Writes a row of metrics.csv at the end of each epoch.

    `decay_on_fraction` is a fraction of paired normalization layers and of the epoch's updates,
    without the skipped ones.

    Args:
        workdir: the run's `Workdir`, opened.
        schedule: the learning rate as a function of updates done.
        shown: names from `shown_names`.
        updates_per_epoch, batch_size: of the run.
        start: the `Position` from which the run resumes.
        noise: the `GradientNoiseScale` whose numbers get columns; None for none.
    """

    def __init__(
        self, workdir, schedule, shown, updates_per_epoch, batch_size, start=START, noise=None
    ):
        super().__init__(updates_per_epoch, start.update)
        self.schedule = schedule
        self.shown = shown
        more = [m for m in METRICS if f"val_{m}" in shown and m != "accuracy"]
        names = columns(shown.values(), more, noise is not None)
        ended = start.epoch * updates_per_epoch
        self.table = Table(workdir.path / "metrics.csv", names, after=ended, otherwise=ANOTHER)
        self._ended = range(updates_per_epoch, ended + 1, updates_per_epoch)
        self._speed = Speed(batch_size)
        self._before = dict(decisions.BEGIN)

    def lost(self, model):
        """What is missing from the file, as `Table.lost` says it, for any model."""
        return self.table.lost(self._ended)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._speed.begin_epoch()
        self._began = time.perf_counter()
        self._before = _counts(unwrapped(self.model.optimizer).totals())

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self._speed.count(batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        totals = unwrapped(self.model.optimizer).totals()
        layers = len(totals["decay_on_updates"])
        share = decisions.decay_share(_counts(totals), self._before)
        logs = {self.shown.get(k, k): v for k, v in (logs or {}).items()}
        self.table.add(
            epoch=epoch + 1,
            update=(epoch + 1) * self.updates_per_epoch,
            learning_rate=last_learning_rate(self.schedule, unwrapped(self.model.optimizer)),
            decay_on_fraction=share / layers if layers else "",
            skipped_updates=totals["skipped_updates"],
            images_per_second=round(self._speed.images_per_second, 1),
            seconds=round(self._seconds(), 3),
            **logs,
        )

    def get_state(self):
        """What the row of an interrupted epoch needs from before the interruption."""
        return {**self._before, "seconds": self._seconds()}

    def set_state(self, state):
        """Resumes from what `get_state` returned, in an epoch that has begun.

        Raises:
            BadInput: the checkpoint holds something else.
        """
        shape = {
            **dict.fromkeys(decisions.BEGIN, is_count),
            "seconds": lambda v: fits(v, (int, float)) and 0 <= v < math.inf,
        }
        require(
            fits(state, shape) and len(state) == len(shape),
            f"The checkpoint is damaged or of another version: it must say {', '.join(shape)} of "
            f"the unfinished epoch; choose another --workdir. Received: {shown(state)}",
        )
        self._began = time.perf_counter() - state["seconds"]
        self._before = {name: state[name] for name in decisions.BEGIN}

    def flush(self):
        """Writes the rows so far to disk."""
        self.table.flush()

    def _seconds(self):
        return time.perf_counter() - self._began


def _counts(totals):
    """The totals of an optimizer that a share of decay needs, as a checkpoint can keep them."""
    return {name: int(np.sum(totals[name])) for name in decisions.BEGIN}


def last_learning_rate(schedule, optimizer):
    """The rate of the last update, a float."""
    return float(schedule(max(optimizer.totals()["updates"] - 1, 0)))
