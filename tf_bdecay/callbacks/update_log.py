"""What callbacks share that write every k-th update to a folder and say a line an epoch."""

import pathlib
import warnings

import keras

from tf_bdecay.errors import BadInput, check_count, check_flag, first_line


class UpdateLog(keras.callbacks.Callback):
    """Counts the updates of all calls of `fit`, writes where it is time, and says where it leads.

    A class that inherits has `_begin()`, the number of updates done when `fit` begins, `_open()`,
    which makes what it writes to, `_found()`, what there is to write, and `_put(found)`.

    Args:
        log_dir, every, show: as of `DecayLog`.
    """

    def __init__(self, log_dir, every, show):
        super().__init__()
        of = type(self).__name__
        if every is not None:
            check_count("every", every, of=of, what="a whole number of updates")
        check_flag("show", show, of=of)
        self.log_dir = None if log_dir is None else pathlib.Path(log_dir)
        self.every, self.show, self._files = every, show, None

    def on_train_begin(self, logs=None):
        """Finds out whether this process writes and talks."""
        self._begun, self._leads = False, _leads(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        """Begins to count, once all callbacks have begun, of which one may have restored a run."""
        if not self._begun:
            self._begun, self._done = True, self._begin()
            if self.log_dir is not None and self._leads and self._files is None:
                try:
                    self._files = self._open()
                except BadInput:  # of a table: it says what to do
                    raise
                except (OSError, ValueError) as error:
                    raise unusable(self, first_line(error)) from error
        self._epoch_start = self._done

    def on_train_batch_end(self, batch, logs=None):
        """Writes, where it is time."""
        before, self._done = self._done, self._epoch_start + batch + 1
        if self.every and self._done // self.every > before // self.every:
            self._write(self._found())

    def _write(self, found):
        if self._files is None:
            return
        try:
            self._put(found)
        except OSError as error:  # a full disk, say: the training is worth more
            warnings.warn(
                f"{type(self).__name__} could not write after update {self._done}: "
                f"{first_line(error)}.",
                stacklevel=2,
            )

    def _say(self, epoch, line):
        if self.show and self._leads:
            begin = "\n" if self.params.get("verbose") in (1, "auto") else ""  # after the bar
            print(f"{begin}Epoch {epoch + 1}: {line}")


def unusable(callback, why):
    """The `BadInput` of a callback whose `log_dir` cannot be written, or has files not its own."""
    return BadInput(
        f"`log_dir` of {type(callback).__name__} cannot be used ({why}): name another folder. "
        f"Received: log_dir={str(callback.log_dir)!r}"
    )


def _leads(model):
    """Whether this process is the one, of those that train a model, that writes and talks."""
    if keras.backend.backend() != "tensorflow":
        return True
    from tf_bdecay.distribution import sharding

    return sharding.is_leader(model.distribute_strategy)
