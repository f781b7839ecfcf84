"""What a run leaves behind: a row by epoch, and the decisions of every k-th update.

metrics.csv has a row an epoch. layers.csv and TensorBoard have C, r and the decision by layer, the
learning rate and the trust ratios: the optimizer keeps all of it as state on the device, and one
fetch every k updates brings it here.
"""

import math
import time

import numpy as np

from tf_bdecay.callbacks import decisions, noise_scale
from tf_bdecay.errors import require, shown
from tf_bdecay.optim.base import unwrapped
from tf_bdecay.roles import kinds_of
from tf_bdecay.storage.events import EPOCH_TAG, Events, cut_back
from tf_bdecay.storage.files import fits, is_count
from tf_bdecay.storage.tables import Table
from tf_bdecay.training.building.metrics import METRICS
from tf_bdecay.training.fitting.counts_updates import CountsUpdates
from tf_bdecay.training.fitting.progress import Speed
from tf_bdecay.training.fitting.resume import Position
from tf_bdecay.training.run_folder.workdir import ANOTHER

EPOCH_COLUMNS = (
    "epoch",
    "update",
    "loss",
    "accuracy",
    "{loss}",
    "{accuracy}",
    "learning_rate",
    "decay_on_fraction",
    "skipped_updates",
    "images_per_second",
    "seconds",
)
# What TensorBoard says of loss and metrics.
_WORDS = {"loss": "loss", **{name: metric.words for name, metric in METRICS.items()}}
_EPOCH = "By epoch, at the number of its last update: {} "
_ENDS = {
    "_precise": "with precise statistics of normalization layers, re-estimated at these weights.",
    "_average": "of the moving average of the weights, with statistics re-estimated for it.",
}


def shown_names(split, precise=False, average=False, metrics=("accuracy",)):
    """How a run calls what Keras calls `val_loss`, `val_accuracy` and so on.

        >>> shown_names("test", precise=True)
        {'val_loss': 'test_loss_precise', 'val_accuracy': 'test_accuracy_precise'}

    Args:
        split: "test" or "validation", what the epochs are evaluated on.
        precise: whether with precise statistics.
        average: whether the average of the weights is evaluated, too.
        metrics: names of the run's metrics.
    """
    end, names = "_precise" * precise, ("loss", *metrics)
    averages = {f"val_{name}_average": f"{split}_{name}_average" for name in names if average}
    return {f"val_{name}": f"{split}_{name}{end}" for name in names} | averages


def describe_tag(tag):
    """What TensorBoard says of a tag of ours, or ""."""
    if tag.startswith(EPOCH_TAG):
        name = tag.removeprefix(EPOCH_TAG)
        if said := noise_scale.describe_tag(name):
            return _EPOCH.format(said)
        kind = max((kind for kind in _WORDS if kind in name), key=len, default=name)
        what = _WORDS.get(kind, name)
        if name in _WORDS:
            return _EPOCH.format(f"{what} of the training batches, each before its update.")
        ends = (text for end, text in _ENDS.items() if name.endswith(end))
        end = next(ends, "with moving statistics.")
        split = "test" if name.startswith("test") else "validation"
        return _EPOCH.format(f"{what} on the {split} images,") + end
    return decisions.describe_tag(tag) or noise_scale.describe_tag(tag)


class EpochRows(CountsUpdates):
    """Writes a row of metrics.csv at the end of each epoch.

    `decay_on_fraction` is over the paired normalization layers and the epoch's updates, without
    those that were skipped.

    Args:
        workdir: the run's `Workdir`, opened.
        schedule: the learning rate by updates done.
        shown: from `shown_names`.
        updates_per_epoch, batch_size: of the run.
        start: the `Position` from which the run resumes.
        noise: the `GradientNoiseScale` whose numbers have columns, None for none.
    """

    def __init__(
        self, workdir, schedule, shown, updates_per_epoch, batch_size, start=None, noise=None
    ):
        start = start or Position()
        super().__init__(updates_per_epoch, start.update)
        self.schedule = schedule
        self.shown = shown
        names = {"loss": shown["val_loss"], "accuracy": shown["val_accuracy"]}
        columns = [name.format(**names) for name in EPOCH_COLUMNS]
        after = columns.index(shown["val_accuracy"]) + 1
        columns[after:after] = [name for name in shown.values() if name not in columns]
        more = [m for m in METRICS if f"val_{m}" in shown and m not in names]
        after = columns.index("accuracy") + 1
        columns[after:after] = more
        if noise is not None:
            before = columns.index("images_per_second")
            columns[before:before] = noise_scale.COLUMNS
        newer = [name for name in columns if any(m in name for m in more)]
        ended = start.epoch * updates_per_epoch
        self.table = Table(
            workdir.path / "metrics.csv", columns, after=ended, newer=newer, otherwise=ANOTHER
        )
        self._ended = range(updates_per_epoch, ended + 1, updates_per_epoch)
        self._speed = Speed(batch_size)
        self._before = dict(decisions.BEGIN)

    def lost(self, model):
        """What of the file is missing, as `Table.lost` says it; any model."""
        return self.table.lost(self._ended)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._speed.begin_epoch()
        self._began = time.perf_counter()
        self._before = self._counts()
        # Of an epoch that goes on the checkpoint says it, but for those of earlier versions.
        skipped = unwrapped(self.model.optimizer).totals()["skipped_updates"]
        self._before["updates"] = epoch * self.updates_per_epoch - skipped

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self._speed.count(batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        totals = unwrapped(self.model.optimizer).totals()
        layers = len(totals["decay_on_updates"])
        share = decisions.decay_share(self._counts(), self._before)
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
        """What the row of an epoch that is cut off in the middle needs from before the cut."""
        return {**self._before, "seconds": self._seconds()}

    def set_state(self, state):
        """Goes on from what `get_state` gave, in an epoch that has begun.

        Raises:
            BadInput: the checkpoint has something else.
        """
        state = {"updates": self._before["updates"], **state}  # earlier versions had none
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
        """Brings the rows so far to the disk."""
        self.table.flush()

    def _seconds(self):
        return time.perf_counter() - self._began

    def _counts(self):
        """Of the optimizer's totals what a share of decay needs, as a checkpoint can keep it."""
        totals = unwrapped(self.model.optimizer).totals()
        return {name: int(np.sum(totals[name])) for name in decisions.BEGIN}


class UpdateSummaries(CountsUpdates):
    """Writes the decision of every k-th update to TensorBoard and to layers.csv.

    Args:
        workdir: the run's `Workdir`, opened.
        schedule: the learning rate by updates done.
        every: k, in updates.
        updates_per_epoch: to number the updates.
        start: the `Position` from which the run resumes.
        pages: dict of title to text, shown on TensorBoard's text page.
        shown: from `shown_names`; None for Keras' own names.
        say: called with a sentence for each event file that is damaged.
        noise: the `GradientNoiseScale` whose numbers are written, too; None for none.
    """

    def __init__(
        self,
        workdir,
        schedule,
        every,
        updates_per_epoch,
        start=None,
        pages=None,
        shown=None,
        say=lambda sentence: None,
        noise=None,
    ):
        start = start or Position()
        super().__init__(updates_per_epoch, start.update)
        self.schedule, self.noise = schedule, noise
        self.shown = shown or {}
        self.every = every
        cut_back(workdir.tensorboard, start.update, start.epoch * updates_per_epoch, say)
        self._events = Events(workdir.tensorboard)
        columns = ("update", *decisions.LAYER_COLUMNS)
        self._table = Table(
            workdir.path / "layers.csv", columns, after=start.update, otherwise=ANOTHER
        )
        self._written = start.update // every
        if start.update:
            self._events.restarted(start.update)
            return
        for title, text in (pages or {}).items():
            self._events.text(title, text)
        self._events.charts(self._charts())

    def lost(self, model):
        """What of the table is missing, as `Table.lost` says it, of a compiled model."""
        layers, steps = len(unwrapped(model.optimizer).roles.pairs), model.steps_per_execution
        last = self.after // self.every
        # An execution may step over a multiple: then its last update has the rows.
        ends = (-(-n * self.every // steps) * steps for n in range(1, last + 1))
        written = sorted({end for end in ends if end <= self.after})
        return self._table.lost(written, layers)

    def on_train_begin(self, logs=None):
        self._kinds = kinds_of(self.model, unwrapped(self.model.optimizer).roles)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if self.done // self.every > self._written:  # an execution may step over a multiple
            self._written = self.done // self.every
            self._write(self.done)

    def on_epoch_end(self, epoch, logs=None):
        update = (epoch + 1) * self.updates_per_epoch
        values = {f"{EPOCH_TAG}{self.shown.get(k, k)}": v for k, v in (logs or {}).items()}
        self._events.scalars(update, values, describe_tag)

    def flush(self):
        """Brings everything written so far to the disk."""
        self._table.flush()
        self._events.flush()

    def _write(self, update):
        optimizer = unwrapped(self.model.optimizer)
        decision = optimizer.decision()
        for row in decisions.layer_rows(optimizer, decision):
            self._table.add(update=update, **row)
        rate = {"learning_rate": last_learning_rate(self.schedule, optimizer)}
        values = rate | decisions.scalars(optimizer, decision, self._kinds)
        if self.noise is not None:
            values |= self.noise.estimate().scalars()
        self._events.scalars(update, values, describe_tag)

    def _charts(self):
        """What belongs together, by category, chart and the tags' regular expressions."""
        loss, accuracy = (
            [
                f"^{EPOCH_TAG}{shown}$"
                for shown in (name, self.shown.get(val, val), self.shown.get(f"{val}_average"))
                if shown
            ]
            for name, val in (("loss", "val_loss"), ("accuracy", "val_accuracy"))
        )
        return {
            "Training": {
                "loss, training beside evaluation": loss,
                "accuracy, training beside evaluation": accuracy,
                "learning rate": ["^learning_rate$"],
            },
            "Adaptive beta decay": {
                "r of every layer, against R": ["^r/", f"^{decisions.THRESHOLD_TAG}$"],
                "share of layers whose beta decays": ["^decay_on_fraction$"],
                "C_m by kind": ["^C/"],
            },
        }


def last_learning_rate(schedule, optimizer):
    """The rate of the update done last: a float."""
    return float(schedule(max(optimizer.totals()["updates"] - 1, 0)))
