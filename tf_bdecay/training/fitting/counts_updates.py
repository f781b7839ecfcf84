"""The position of a run, and callbacks that number its updates."""

import dataclasses

import keras


@dataclasses.dataclass(frozen=True)
class Position:
    """The position of a run.

    Attributes:
        update: updates done, skipped ones included.
        epoch: epochs that have ended, with their evaluation and row. All updates of the next one
            may be done, too.
        metrics: dict of label to array, the metrics of an epoch that has not ended.
        callbacks: dict of a callback's class name to the JSON value that it resumes from.
        best: the best accuracy at the end of an epoch so far, or None.
    """

    update: int = 0
    epoch: int = 0
    metrics: dict = dataclasses.field(default_factory=dict)
    callbacks: dict = dataclasses.field(default_factory=dict)
    best: float | None = None


START = Position()


class CountsUpdates(keras.callbacks.Callback):
    """A callback that numbers updates from the beginning of the run.

    `fit` numbers the batches of an epoch from 0, even if it is called in the middle of one.

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
        """Finds how many updates were done before this call of `fit` or this epoch."""
        self._first = max(epoch * self.updates_per_epoch, self.after)
        self.done = self._first

    def on_train_batch_end(self, batch, logs=None):
        """Counts the updates done, several at once if an execution has several."""
        self.done = self._first + batch + 1
