"""The callback that decides when a checkpoint is due, and what it says of where the run is."""

import time

from tf_bdecay.storage import checkpoints
from tf_bdecay.training import epoch_metrics
from tf_bdecay.training.position import CountsUpdates

FLUSH_SECONDS = 120  # so that TensorBoard shows a long epoch while it runs


class Checkpoints(CountsUpdates):
    """Saves by epochs, updates and minutes, at the end, and when a signal asks for it.

    It must be the last callback: what the others wrote goes to the disk before the checkpoint, so
    that a run which goes on from it finds neither more nor less.

    Args:
        saver: a `Saver`.
        state: from `checkpoints.state_of`.
        log: the config's section `log`.
        updates_per_epoch, epochs: of the run.
        watchers: the other callbacks; those with `flush` are flushed, those with `state` asked for
            the JSON value that they go on from.
        start: the `Position` from which the run goes on.
        request: a `signals.Request`.
    """

    def __init__(
        self, saver, state, log, updates_per_epoch, epochs, watchers=(), start=None, request=None
    ):
        super().__init__(updates_per_epoch, start.update if start else 0)
        self.saver, self.state, self.log, self.epochs = saver, state, log, epochs
        self.watchers, self.request = list(watchers), request
        self._best = start.best if start else None
        self._saved = (self.after, time.monotonic())
        self._flushed = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self.saver.poll()
        if self._asked_to_stop():
            self._stop(epoch_metrics.snapshot(self.model))
        elif self._due():
            self._save(epoch_metrics.snapshot(self.model))
        elif time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def on_test_begin(self, logs=None):
        self._metrics = epoch_metrics.snapshot(self.model)  # evaluation has no others

    def on_test_batch_end(self, batch, logs=None):
        if self._asked_to_stop():  # no weight changes in an evaluation; it is done again
            self._stop(self._metrics)

    def on_epoch_end(self, epoch, logs=None):
        accuracy = (logs or {}).get("val_accuracy")
        best = accuracy is not None and (self._best is None or accuracy > self._best)
        stop = self._asked_to_stop()
        if (epoch + 1) % self.log.checkpoint_every == 0 or epoch + 1 == self.epochs or stop:
            self._best = accuracy if best else self._best
            self._save({}, ended=True, best=best)
        else:
            self._flush()
        if stop:
            self._stop()

    def close(self):
        """Waits for the last checkpoint; to be called however the run ends."""
        self.saver.close()

    def _due(self):
        update, moment = self._saved
        every, minutes = self.log.checkpoint_updates, self.log.checkpoint_minutes
        by_updates = every and self.done // every > update // every
        by_clock = bool(minutes) and time.monotonic() - moment >= 60 * minutes
        by_clock = self.request.save(by_clock) if self.request else by_clock
        return by_updates or by_clock

    def _asked_to_stop(self):
        return self.request is not None and self.request.number is not None

    def _stop(self, metrics=None):
        if metrics is not None:
            self._save(metrics)
        self.saver.wait()
        self.request.check()

    def _save(self, metrics, ended=False, best=False):
        """Metrics belong to an epoch that has not ended; none to one that has."""
        self._saved = (self.done, time.monotonic())
        begun = (self.done - 1) // self.updates_per_epoch
        meta = {
            "update": self.done,
            "epoch": begun + 1 if ended else begun,
            "best": self._best,
            "watchers": {
                type(watcher).__name__: watcher.state()
                for watcher in self.watchers
                if hasattr(watcher, "state") and not ended
            },
        }
        arrays = {**checkpoints.snapshot(self.state), **metrics}
        self.saver.save(arrays, meta, best, self._flushes())

    def _flush(self):
        self._flushed = time.monotonic()
        self.saver.guarded(*self._flushes())

    def _flushes(self):
        return [watcher.flush for watcher in self.watchers if hasattr(watcher, "flush")]
