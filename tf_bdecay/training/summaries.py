"""What a run leaves behind of every k-th update: C, r and the decision by layer, rates, ratios.

The optimizer has all of it as state on the device; one fetch every k updates brings it here. It
goes to TensorBoard as one event of many values, and to `layers.csv`.
"""

import time

import keras
import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from tf_bdecay.sharpness.kinds import kinds_of
from tf_bdecay.training.tables import Table

LAYER_COLUMNS = ("update", "layer", "C_beta", "C_gamma", "r", "decay_on")


class Events:
    """A TensorBoard event file.

    Args:
        folder: where the event files are.
        after: the number of updates from which this run goes on; TensorBoard then drops what an
            interrupted run wrote beyond it.
    """

    def __init__(self, folder, after=0):
        self._writer = EventFileWriter(str(folder))
        if after:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(event_pb2.Event(step=after + 1, session_log=start))

    def scalars(self, update, values):
        """Writes many scalars at once.

        Args:
            update: the number of the update they belong to.
            values: dict of tag to number.
        """
        scalars = [
            summary_pb2.Summary.Value(tag=tag, simple_value=float(value))
            for tag, value in values.items()
        ]
        self._write(event_pb2.Event(step=update, summary=summary_pb2.Summary(value=scalars)))

    def text(self, tag, markdown):
        """Writes a page of text."""
        page = summary_pb2.Summary.Value(
            tag=tag,
            metadata=text_metadata.create_summary_metadata(display_name=tag, description=""),
            tensor=tensor_pb2.TensorProto(
                dtype=types_pb2.DT_STRING, string_val=[markdown.encode()]
            ),
        )
        self._write(event_pb2.Event(summary=summary_pb2.Summary(value=[page])))

    def flush(self):
        """Brings everything written so far to the disk."""
        self._writer.flush()

    def close(self):
        """Flushes and closes the file."""
        self._writer.close()

    def _write(self, event):
        event.wall_time = time.time()
        self._writer.add_event(event)


class UpdateSummaries(keras.callbacks.Callback):
    """Writes the decision of every k-th update to TensorBoard and to layers.csv.

    Args:
        workdir: the run's `Workdir`, opened.
        schedule: the learning rate by updates done.
        every: k, in updates.
        updates_per_epoch: to number the updates.
        after: the number of updates from which this run goes on.
        pages: dict of title to text, shown on TensorBoard's text page.
    """

    def __init__(self, workdir, schedule, every, updates_per_epoch, after=0, pages=None):
        super().__init__()
        self.schedule = schedule
        self.every = every
        self.updates_per_epoch = updates_per_epoch
        self._events = Events(workdir.tensorboard, after)
        self._table = Table(workdir.path / "layers.csv", LAYER_COLUMNS, after=after)
        self._written = after // every
        self._first = after
        for title, text in (pages or {}).items():
            self._events.text(title, text)

    def on_train_begin(self, logs=None):
        self._kinds = np.array(kinds_of(self.model, self.model.optimizer.roles))

    def on_epoch_begin(self, epoch, logs=None):
        self._first = epoch * self.updates_per_epoch

    def on_train_batch_end(self, batch, logs=None):
        update = self._first + batch + 1
        if update // self.every > self._written:  # steps_per_execution may step over a multiple
            self._written = update // self.every
            self._write(update)

    def on_epoch_end(self, epoch, logs=None):
        update = self._first + self.updates_per_epoch
        self._events.scalars(update, {f"epoch/{k}": v for k, v in (logs or {}).items()})
        self.flush()

    def flush(self):
        """Brings everything written so far to the disk."""
        self._table.flush()
        self._events.flush()

    def close(self):
        """Flushes and closes the files: to be called however the run ends."""
        self._table.flush()
        self._events.close()

    def _write(self, update):
        optimizer = self.model.optimizer
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
