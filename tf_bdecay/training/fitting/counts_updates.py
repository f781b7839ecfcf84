"""Where a run is, and the number of an update in it, for callbacks."""

import dataclasses

import keras


@dataclasses.dataclass(frozen=True)
class Position:
    """Where a run is.

    Attributes:
        update: updates done, skipped ones included.
        epoch: epochs that have ended, with their evaluation and row; all updates of one more may
            be done.
        metrics: dict of label to array, the metrics of an epoch that has not ended.
        callbacks: dict of a callback's class to the JSON value that it resumes from.
        best: the best accuracy of an epoch's end so far, or None.
    """

    update: int = 0
    epoch: int = 0
    metrics: dict = dataclasses.field(default_factory=dict)
    callbacks: dict = dataclasses.field(default_factory=dict)
    best: float | None = None


START = Position()


class CountsUpdates(keras.callbacks.Callback):
    """A callback that numbers updates from the beginning of the run.

    `fit` numbers the batches of an epoch from 0, also where it was called in the middle of one.

    Args:
        updates_per_epoch: of the run.
        after: updates done when the run resumes.
    """

    def __init__(self, updates_per_epoch, after=0):
        super().__init__()
        self.updates_per_epoch = updates_per_epoch
        self.after = after
        self.done = after

    def on_epoch_begin(self, epoch, logs=None):
        """Finds the first update of this call of `fit` in the epoch."""
        self._first = max(epoch * self.updates_per_epoch, self.after)
        self.done = self._first

    def on_train_batch_end(self, batch, logs=None):
        """Counts the updates done, several at once where an execution has several."""
        self.done = self._first + batch + 1
