"""The number of an update in the run, for callbacks."""

import keras


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
