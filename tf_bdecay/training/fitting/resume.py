"""Resume: a run that is killed after any update continues to the same bits.

Nothing here knows about configs or experiments. `Checkpoints` is a callback for any Keras `fit`;
`restore` assigns the newest checkpoint and returns the run's position. `loop.fit` trains from there
on. By hand, with one of our data sets or any that can start at a given update:

    start = resume.restore("checkpoints", model, say=print)  # its optimizer and metrics are built
    saver = Saver("checkpoints", keep=3)
    save = resume.Checkpoints(saver, 100, epochs, every_updates=10, start=start)
    left = 100 - start.update % 100  # the rest of an epoch of 100 updates, then the other epochs
    model.fit(batches(start.update), steps_per_epoch=left, initial_epoch=start.epoch,
              epochs=start.epoch + 1, callbacks=[epoch_metrics.Restores(start.metrics), save])

A checkpoint inside an epoch also holds the metrics so far: see `epoch_metrics`.
"""

import json
import pathlib
import time

from tf_bdecay.distribution import sharding, strategies
from tf_bdecay.errors import BadInput, require, shown
from tf_bdecay.storage import checkpoint_file, checkpoints
from tf_bdecay.storage.files import fits, is_count
from tf_bdecay.terminal import signals
from tf_bdecay.training.fitting import epoch_metrics
from tf_bdecay.training.fitting.counts_updates import START, CountsUpdates, Position

FLUSH_SECONDS = 120  # so that TensorBoard shows a long epoch while it runs


def _is_best(value):
    return value is None or fits(value, (int, float))


def _is_states(value):
    return isinstance(value, dict) and all(
        isinstance(state, dict) and all(fits(v, (int, float)) for v in state.values())
        for state in value.values()
    )


_META = {"update": is_count, "epoch": is_count, "best": _is_best, "callbacks": _is_states}


class Checkpoints(CountsUpdates):
    """Saves by epochs, updates and minutes, at the end, and when a signal asks for it.

    It must be the last callback: what the others wrote is flushed to disk before the checkpoint, so
    that a run which resumes from it finds neither more nor less. Only a checkpoint after an epoch's
    evaluation counts that epoch as ended.

    Args:
        saver: a `storage.saver.Saver`.
        updates_per_epoch, epochs: of the run.
        every_epochs: epochs between checkpoints.
        every_updates, every_minutes: also updates and minutes between checkpoints; None for none.
        callbacks: the other callbacks. Those with `flush` are flushed. Those with `get_state` and
            `set_state` are asked for the JSON value from which they resume inside an epoch (with
            `state_lasts`, also at its end), and get it back once all have begun the epoch. Those
            with `restore` undo what they changed in the model for an interrupted evaluation.
        start: the `Position` from which the run resumes.
        request: a `signals.Request`.
    """

    def __init__(
        self,
        saver,
        updates_per_epoch,
        epochs,
        every_epochs=1,
        every_updates=None,
        every_minutes=None,
        callbacks=(),
        start=START,
        request=None,
    ):
        super().__init__(updates_per_epoch, start.update)
        self.saver, self.epochs = saver, epochs
        self.every_epochs, self.every_updates = every_epochs, every_updates
        self.every_minutes = every_minutes
        self.callbacks, self.request = list(callbacks), request or signals.Request()
        self._stateful = {type(c).__name__: c for c in self.callbacks if hasattr(c, "get_state")}
        self._states, self._before = dict(start.callbacks), start.best
        self._saved = (self.after, time.monotonic())
        self._flushed = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        for name, callback in self._stateful.items():
            if name in self._states:
                callback.set_state(self._states.pop(name))

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
        self._metrics = epoch_metrics.snapshot(self.model)  # evaluation uses the same variables

    def on_test_batch_end(self, batch, logs=None):
        if self._asked_to_stop():  # an evaluation changes no weight, and is done again
            for callback in self.callbacks:
                getattr(callback, "restore", lambda: None)()
            self._stop(self._metrics)

    def on_epoch_end(self, epoch, logs=None):
        stop = self._asked_to_stop()
        if (epoch + 1) % self.every_epochs == 0 or epoch + 1 == self.epochs or stop:
            self._save({}, ended=True, accuracy=(logs or {}).get("val_accuracy"))
        else:
            self._flush()
        if stop:
            self._stop()

    def close(self):
        """Waits for the last checkpoint; to be called however the run ends."""
        self.saver.close()

    def _due(self):
        update, moment = self._saved
        every, minutes = self.every_updates, self.every_minutes
        by_updates = every and self.done // every > update // every
        by_clock = bool(minutes) and time.monotonic() - moment >= 60 * minutes
        return self.request.save(by_clock) or by_updates  # workers vote on clocks at every update

    def _asked_to_stop(self):
        return self.request.number is not None

    def _stop(self, metrics=None):
        if metrics is not None:
            self._save(metrics)
        self.saver.wait()
        self.request.check()

    def _save(self, metrics, ended=False, accuracy=None):
        """Saves a checkpoint.

        Args:
            metrics: of an unfinished epoch, and empty for an ended one.
            ended: whether the epoch has ended.
            accuracy: from its evaluation; None without one.
        """
        self._saved = (self.done, time.monotonic())
        if self.saver.folder is None:
            return
        begun = (self.done - 1) // self.updates_per_epoch
        states = {
            name: callback.get_state()
            for name, callback in self._stateful.items()
            if not ended or getattr(callback, "state_lasts", False)
        }
        state = checkpoint_file.state_of(self.model, self.model.optimizer)
        arrays = {**checkpoint_file.snapshot(state), **metrics}
        self.saver.wait()  # only then the best that is on the disk is known
        before = self.saver.best["best"] if self.saver.best else self._before
        best = accuracy is not None and (before is None or accuracy > before)
        meta = {
            "update": self.done,
            "epoch": begun + 1 if ended else begun,
            "best": accuracy if best else before,
            "callbacks": states,
        }
        self.saver.save(arrays, meta, best, self._flushes())

    def _flush(self):
        self._flushed = time.monotonic()
        self.saver.guarded(*self._flushes())

    def _flushes(self):
        return [callback.flush for callback in self.callbacks if hasattr(callback, "flush")]


def restore(folder, model, say, updates_per_epoch=None, epochs=None):
    """Assigns the newest readable checkpoint to the model and its optimizer.

    Args:
        folder: the folder of checkpoints.
        model: the compiled model, its optimizer and metrics built.
        say: called with lines for the user: which checkpoint is used, and which are damaged.
        updates_per_epoch, epochs: of the run; a checkpoint beyond them is damaged. None if unknown.

    Returns:
        The `Position`: the beginning if there never was a checkpoint.

    Raises:
        BadInput: no checkpoint can be read, or it is of another model, optimizer or format.
    """

    def check(path, meta):
        _check(path, meta, updates_per_epoch, epochs)

    def warn(why):
        say(f"Warning: {why}")

    found = _read_newest(folder, model.distribute_strategy, warn, check)
    if found is None:
        return START
    path, arrays, meta = found
    own = [label for label in arrays if label.startswith(epoch_metrics.PREFIX)]
    metrics = {label: arrays.pop(label) for label in own}
    _check_metrics(path, metrics, model)
    checkpoint_file.assign(path, arrays, checkpoint_file.state_of(model, model.optimizer))
    say(f"Going on from {path}, after update {meta['update']} and epoch {meta['epoch']}.")
    return Position(meta["update"], meta["epoch"], metrics, meta["callbacks"], meta["best"])


def _check(path, meta, per_epoch, epochs):
    """Raises `Damaged` for a checkpoint that no run wrote, or another one."""
    right = fits(meta, _META)
    if right and per_epoch is not None:
        begun = meta["epoch"] * per_epoch
        right = meta["epoch"] <= epochs and begun <= meta["update"] <= begun + per_epoch
        right = right and meta["update"] <= epochs * per_epoch
    if not right:
        raise checkpoint_file.Damaged(f"The checkpoint {path} is not of this run: {shown(meta)}.")


def _check_metrics(path, metrics, model):
    """Raises `BadInput` if the metrics are not the model's; an epoch that has ended has none."""
    labelled = epoch_metrics.labelled_of(model) if metrics else {}
    right = set(metrics) == set(labelled) and all(
        len(array.shape) == 1 + len(labelled[label].shape)
        and array.shape[1:] == tuple(labelled[label].shape)
        and len(array) > 0
        for label, array in metrics.items()
    )
    require(right, f"The checkpoint {path} is of a run with other metrics: {shown([*metrics])}.")


def _read_newest(folder, strategy, warn, check):
    """`checkpoints.read_newest`; with many workers the leader chooses, and all read that file."""
    leads = sharding.is_leader(strategy)
    found = checkpoints.read_newest(folder, warn, check) if leads else None
    if not strategies.is_multi_worker(strategy):
        return found
    chosen = json.dumps([found[0].name, found[2]["update"]] if found else None)
    chosen = json.loads(sharding.from_worker(strategy, chosen.encode()))
    if leads or chosen is None:
        return found
    path = pathlib.Path(folder, chosen[0])
    where = "--workdir must be on a file system that all workers share."
    try:
        arrays, meta = checkpoint_file.read(path)
        check(path, meta)
    except checkpoint_file.Damaged as error:
        why = f"{str(error).rstrip('.')}, but the leader goes on from it: {where}"
        raise BadInput(why) from error
    require(
        meta["update"] == chosen[1],
        f"{path} is of update {meta['update']} here and of {chosen[1]} for the leader: {where}",
    )
    return path, arrays, meta
