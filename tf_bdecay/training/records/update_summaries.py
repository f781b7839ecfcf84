"""layers.csv and TensorBoard: the decisions of every k-th update.

These are C, r and the decision by layer, the learning rate and the trust ratios. The optimizer
keeps them as state on the device, and one fetch every k updates brings them to the host.
"""

from tf_bdecay.callbacks import decisions
from tf_bdecay.optim.base import unwrapped
from tf_bdecay.roles import kinds_of
from tf_bdecay.storage.events import EPOCH_TAG, Events, cut_back
from tf_bdecay.storage.tables import Table
from tf_bdecay.training.fitting.counts_updates import START, CountsUpdates
from tf_bdecay.training.records.epoch_rows import last_learning_rate
from tf_bdecay.training.records.names import describe_tag
from tf_bdecay.training.run_folder.workdir import ANOTHER


class UpdateSummaries(CountsUpdates):
    """Writes the decision of every k-th update to TensorBoard and to layers.csv.

    Args:
        workdir: the run's `Workdir`, opened.
        schedule: the learning rate as a function of updates done.
        every: k, in updates.
        updates_per_epoch: of the run, to number the updates.
        start: the `Position` from which the run resumes.
        pages: dict of title to text, shown on TensorBoard's text page.
        shown: names from `shown_names`; None for Keras' own names.
        say: called with a sentence for each damaged event file.
        noise: the `GradientNoiseScale` whose numbers are written, too; None for none.
    """

    def __init__(
        self,
        workdir,
        schedule,
        every,
        updates_per_epoch,
        start=START,
        pages=None,
        shown=None,
        say=lambda sentence: None,
        noise=None,
    ):
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
        """What is missing from the table, as `Table.lost` says it, for a compiled model."""
        layers, steps = len(unwrapped(model.optimizer).roles.pairs), model.steps_per_execution
        last = self.after // self.every
        # An execution may step over a multiple of k: then its last update has the rows.
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
        """Writes everything so far to disk."""
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
        """What to show together: dict of category to chart to regular expressions of tags."""
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
