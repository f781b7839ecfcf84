"""Base of the callbacks that write every k-th update and print a line per epoch."""

import pathlib
import warnings

import keras

from tf_bdecay.callbacks.log_files import leads, unusable
from tf_bdecay.errors import BadInput, check_count, check_flag, check_path, first_line
from tf_bdecay.optim.base import DecayByRole, unwrapped


class UpdateLog(keras.callbacks.Callback):
    """Counts updates over all calls of `fit`; writes and prints on the leading process only.

    A subclass defines `_open()`, which makes what it writes to, `_found()`, which returns what
    there is to write, and `_put(found)`, which writes it. Batches are counted on the host. When an
    update is written, and at the end of an epoch, the optimizer's own count is fetched: Keras
    numbers an execution that the epoch's end cuts short (`steps_per_execution`) as a whole one.

    Args:
        log_dir, every, show: as for `DecayLog`.
    """

    def __init__(self, log_dir, every, show):
        super().__init__()
        of = type(self).__name__
        if every is not None:
            check_count("every", every, of=of, what="a whole number of updates")
        check_flag("show", show, of=of)
        if log_dir is not None:
            check_path("log_dir", log_dir, of=of)
        self.log_dir = None if log_dir is None else pathlib.Path(log_dir)
        self.every, self.show, self._files = every, show, None

    def on_train_begin(self, logs=None):
        """Finds out whether this process writes and prints."""
        self._begun, self._leads = False, leads(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        """Starts counting here, as another callback's `on_train_begin` may have restored a run."""
        if not self._begun:
            self._begun, self._done = True, self._count()
            if self.log_dir is not None and self._leads and self._files is None:
                try:
                    self._files = self._open()
                except BadInput:  # from a table; its sentence says what to do
                    raise
                except (OSError, ValueError) as error:
                    raise unusable(self, first_line(error)) from error
        self._epoch_start = self._done

    def on_train_batch_end(self, batch, logs=None):
        """Writes if the update is due."""
        before, self._done = self._done, self._epoch_start + batch + 1
        if self.every and self._done // self.every > before // self.every:
            self._done = self._count()
            self._epoch_start = self._done - batch - 1
            if self._done // self.every > before // self.every:
                self._write(self._found())

    def on_epoch_end(self, epoch, logs=None):
        """Fetches the optimizer's count; a subclass calls this before it writes."""
        self._done = self._count()

    def _count(self):
        if hasattr(self.model, "jax_state_sync"):  # JAX: the train function has the state
            self.model.jax_state_sync()
        return updates_done(unwrapped(self.model.optimizer))

    def _write(self, found):
        if self._files is None:
            return
        try:
            self._put(found)
        except OSError as error:  # a full disk, say; training matters more
            warnings.warn(
                f"{type(self).__name__} could not write after update {self._done}: "
                f"{first_line(error)}.",
                stacklevel=2,
            )

    def _say(self, epoch, line):
        if self.show and self._leads:
            begin = "\n" if self.params.get("verbose") in (1, "auto") else ""  # ends the bar's line
            print(f"{begin}Epoch {epoch + 1}: {line}")


def updates_done(optimizer):
    """How many updates an optimizer has done or skipped, by its own count."""
    if not optimizer.built:
        return 0
    skipped = optimizer.skipped_updates.numpy() if isinstance(optimizer, DecayByRole) else 0
    return int(optimizer.iterations.numpy() + skipped)
