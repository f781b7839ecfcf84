"""Resumes a stock `fit` after a kill, also in the middle of an epoch, to the same bits."""

import pathlib
import time

import keras

from tf_bdecay.callbacks.resuming import (
    checkpoint_folder,
    epoch_feeds,
    epoch_sources,
    run_record,
    run_state,
)
from tf_bdecay.data.order import check_seed
from tf_bdecay.errors import check_count, check_flag, check_number, check_path, require
from tf_bdecay.frameworks import keras_private


class Resume(keras.callbacks.Callback):
    """Resumes `fit` where it was killed, as if it had never stopped.

        resume = tf_bdecay.callbacks.Resume("runs/mine", every_updates=100)
        data = resume.data(x, y, batch_size=128, seed=0)
        model.fit(data, epochs=10, validation_data=(x_val, y_val), callbacks=[resume])

    After a kill at any moment, run the same program again: it resumes from the newest checkpoint,
    also mid-epoch. Weights, statistics, optimizers, loss scale, dropout seeds, the metrics of the
    epoch, History and the order of the examples are, to the bit, those of a run that was never
    stopped (on one CPU, and wherever TensorFlow or JAX are deterministic). If the run has ended, it
    trains nothing more, or only the missing epochs if `epochs` is larger now. A run that
    `model.stop_training` ended inside an epoch goes on there.

    A checkpoint is one file with a checksum, written aside, flushed to disk and renamed. A damaged
    one is named, and the one before it is used. The folder of another run (other data, batch size,
    seed, layers, optimizer or loss) is refused.

    Two things start afresh every time: callbacks with state that are not listed in `callbacks`
    (EarlyStopping, ReduceLROnPlateau, ...), and random numbers that do not come from a
    `keras.random.SeedGenerator` of a layer. After a start inside an epoch, callbacks see the
    remaining batches, numbered from 0, and the progress bar counts those. A kill during an epoch's
    evaluation loses the updates since the last checkpoint before it.

    It must be the last of the callbacks.

    Args:
        folder: where the checkpoints are, one folder per run; created if missing.
        every_updates: updates between checkpoints; None for none besides the one at the end of each
            epoch, which is always written.
        every_minutes: minutes between further checkpoints; None for none.
        keep: how many checkpoints are kept.
        callbacks: those of the callbacks given to `fit` whose state is kept, too. A callback's
            state is what `get_state` returns, for its `set_state`; if it has none, the attributes
            that have changed since `fit` began (numbers, strings, None, arrays, lists of these).
        on_error: what to do if a checkpoint cannot be written, on a full disk, say: "stop" raises
            the error, "continue" warns and trains on.
        show: whether to print where the run resumes.

    Raises:
        BadInput: an argument is out of range; when `fit` begins, the data are not from `data`, the
            folder cannot be used or is of another run, none of its checkpoints can be read, a
            further optimizer of the model is not built, `steps_per_execution` does not divide the
            number of updates, or there are several workers.
    """

    def __init__(
        self,
        folder,
        every_updates=None,
        every_minutes=None,
        keep=3,
        callbacks=(),
        on_error="stop",
        show=True,
    ):
        super().__init__()
        check_path("folder", folder, of="Resume")
        if every_updates is not None:
            check_count("every_updates", every_updates, of="Resume", what="a number of updates")
        if every_minutes is not None:
            check_number("every_minutes", every_minutes, of="Resume", above=0)
        check_count("keep", keep, of="Resume")
        check_flag("show", show, of="Resume")
        require(
            on_error in ("stop", "continue"),
            f"`on_error` of Resume must be 'stop' or 'continue'. Received: on_error={on_error!r}",
        )
        callbacks = keras.tree.flatten(callbacks) if callbacks else []  # as `fit` takes them
        require(
            all(isinstance(c, keras.callbacks.Callback) for c in callbacks),
            "`callbacks` of Resume must be a list of those of the callbacks given to `fit` whose "
            f"state is kept. Received: {[type(c).__name__ for c in callbacks]}",
        )
        self.folder, self.keep, self.on_error = pathlib.Path(folder), keep, on_error
        self.every_updates, self.every_minutes, self.show = every_updates, every_minutes, show
        self._kept = run_state.Kept(callbacks)
        self._source = self._position = None

    def data(
        self,
        x,
        y=None,
        sample_weight=None,
        batch_size=None,
        seed=0,
        shuffle=True,
        drop_remainder=False,
        steps=None,
    ):
        """The training data for `fit`, in an order that a resumed run can repeat.

        Args:
            x: arrays [n, ...], as `fit` takes them, which every epoch reads in an order of its own,
                given by seed and epoch, and none before its turn; or a `keras.utils.PyDataset`,
                whose batches are shuffled likewise; or a `tf.data.Dataset` that is the same every
                time it is read; or a function of the epoch, an int from 0, that returns an iterable
                of batches, such as a `tf.data.Dataset` shuffled with the epoch as its seed. With
                the last two, a run that resumes in the middle of an epoch reads the batches that
                are done, and discards them.
            y, sample_weight, batch_size: for arrays, as in `fit`; 32 examples per batch by default.
            seed: of the order of arrays and of a PyDataset, in [0, 2^32).
            shuffle: whether that order changes every epoch; False keeps their own order.
            drop_remainder: for arrays: whether an epoch's last, smaller batch is left out.
            steps: batches per epoch, if a data set or function does not tell.

        Returns:
            What to give `fit` as x, alone: a `tf.data.Dataset` under TensorFlow, otherwise a
            `keras.utils.PyDataset`.

        Raises:
            BadInput: the data cannot be read again, or are not the same when they are.
        """
        check_seed(seed)
        check_flag("shuffle", shuffle, of="Resume.data")
        check_flag("drop_remainder", drop_remainder, of="Resume.data")
        given = x, y, sample_weight, batch_size, seed, shuffle, drop_remainder, steps
        self._source, self._position = epoch_sources.source_of(*given), epoch_feeds.Cursor()
        return epoch_feeds.feed(self._source, self._position)

    def on_train_begin(self, logs=None):
        """Restores the newest checkpoint, if there is one."""
        self._check()
        checkpoint_folder.lock(self.folder)
        try:
            keras_private.build_all(self.model, self._source.shapes)
            run_state.further_optimizers(self.model)  # refused now, not at the first checkpoint
            start = self._restore()
        except BaseException:
            checkpoint_folder.unlock(self.folder)
            raise
        keras_private.start_at(self.model, start)
        self._saver = checkpoint_folder.saver(self.folder, self.keep, self.on_error)
        self._begun, self._rest, self._saved = False, None, time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        """Saves the state after the previous epoch, whose end all callbacks have seen by now."""
        first = 0
        if not self._begun:
            first = self._go_on(epoch)
        else:
            self._save(epoch, 0)
        self._epoch, self._first, self._done = epoch, first, first
        self._rest = epoch_feeds.RestOfEpoch(self.model) if first else None
        self._position.begin(epoch, first)

    def on_train_batch_end(self, batch, logs=None):
        """Saves if a checkpoint is due or `fit` is about to stop; ends what is left of an epoch."""
        require(
            self._position.started,
            "Resume decides the order of the examples, so that a run can go on: give `fit` what "
            "resume.data(...) returns. Received: other data than those.",
        )
        done, count = self._first + batch + 1, self._source.num_batches
        self._done = done
        self._saver.poll()
        if done < count and (self._due(done) or self.model.stop_training):
            self._save(self._epoch, done)
        if self._rest and done >= count:
            self._rest.last_batch()

    def on_epoch_end(self, epoch, logs=None):
        """Lets `fit` continue after an epoch that was resumed in its middle."""
        if self._rest:
            self._rest.end()
            self._rest = None

    def on_train_end(self, logs=None):
        """Saves the end of the run; one that stopped inside an epoch is saved from there."""
        self._position.end()
        keras_private.start_at(self.model, None)
        try:
            if self._begun and self._done >= self._source.num_batches:
                self._save(self._epoch + 1, 0, ended=True)
            elif self._found is not None:  # the run had already finished
                self._restore_history()
            self._saver.close()
        finally:
            checkpoint_folder.unlock(self.folder)

    def _check(self):
        """Raises `BadInput` for a `fit` that could not be resumed."""
        require(
            self._source is not None,
            "Resume decides the order of the examples, so that a run can go on: give `fit` "
            "resume.data(x, y, batch_size=...) in place of x and y.",
        )
        count, steps = self._source.num_batches, self.params.get("steps")
        require(
            steps == count,
            f"An epoch of resume.data has {count} batches, and `fit` was given other data, or "
            f"steps_per_epoch: leave it out. Received: {steps} steps an epoch",
        )
        at_once = self.model.steps_per_execution
        require(
            count % at_once == 0,
            f"steps_per_execution={at_once} must divide the {count} batches of an epoch, or Keras "
            "would run updates beyond its end.",
        )
        if keras.backend.backend() == "tensorflow":
            from tf_bdecay.distribution.strategies import is_multi_worker

            require(
                not is_multi_worker(self.model.distribute_strategy),
                "Resume keeps the run of one process: main.py resumes runs of many workers.",
            )

    def _restore(self):
        """Finds and assigns the newest checkpoint; returns the epoch to resume at, or None."""
        self._run = run_record.record_of(self.model, self._source)
        steps = self.model.steps_per_execution
        self._found = checkpoint_folder.newest(
            self.folder, self._run, self._kept.names(), self._source, steps
        )
        if self._found is None:
            return None
        path, arrays, meta = self._found
        run_state.assign(path, arrays, self.model)
        start = meta["epoch"]
        if meta["ended"] and meta["epochs"] == self.params["epochs"]:
            start = max(start, self.params["epochs"])  # EarlyStopping may have ended it early
        self._say(path, meta, start)
        return start

    def _go_on(self, epoch):
        """Begins the first epoch: restores what `fit` has reset, and returns its first batch."""
        self._begun = True
        keras_private.start_at(self.model, None)  # the next `fit` has its own
        self._kept.begin()
        if self._found is None:
            return 0
        path, arrays, meta = self._found
        require(
            epoch == meta["epoch"],
            f"The checkpoint {path} is of epoch {meta['epoch']}, and `fit` begins with {epoch}: "
            "leave initial_epoch out.",
        )
        run_state.assign_metrics(path, arrays, self.model)
        self._restore_history()
        self._found = None
        return meta["batch"]

    def _restore_history(self):
        """Gives History the previous epochs, and callbacks their state."""
        _, arrays, meta = self._found
        self._kept.restore(meta["callbacks"]["states"], arrays)
        history = getattr(self.model, "history", None)
        if history is not None:
            history.epoch = [*meta["history"]["epoch"], *history.epoch]
            for name, values in meta["history"]["logs"].items():
                history.history[name] = [*values, *history.history.get(name, [])]

    def _due(self, done):
        every, minutes = self.every_updates, self.every_minutes
        update = self._epoch * self._source.num_batches + done
        before = update - self.model.steps_per_execution
        by_updates = every and update // every > before // every
        return by_updates or (minutes and time.monotonic() - self._saved >= 60 * minutes)

    def _save(self, epoch, batch, ended=False):
        self._saved = time.monotonic()
        arrays = run_state.snapshot(self.model, metrics=batch > 0)
        states, more = self._kept.snapshot()
        history = getattr(self.model, "history", None)
        logs = {} if history is None else history.history
        read = epoch if batch else max(epoch - 1, 0)
        digest = self._source.digest_of(read)
        meta = {
            "update": epoch * self._source.num_batches + batch,
            "epoch": epoch,
            "batch": batch,
            "epochs": self.params["epochs"],
            "ended": ended,
            "run": self._run,
            "history": {
                "epoch": [] if history is None else list(history.epoch),
                "logs": {k: [run_state.number_of(v) for v in values] for k, values in logs.items()},
            },
            "callbacks": {"names": self._kept.names(), "states": states},
            "seen": {} if digest is None else {str(read): digest},
        }
        self._saver.save({**arrays, **more}, meta)

    def _say(self, path, meta, start):
        if not self.show:
            return
        if start >= self.params["epochs"]:
            print(f"Resume: the run in {self.folder} is finished, after epoch {meta['epoch']}.")
            return
        count = self._source.num_batches
        inside = f" and {meta['batch']} of {count} updates" if meta["batch"] else ""
        print(f"Resume: going on from {path}, after {meta['epoch']} epochs{inside}.")
