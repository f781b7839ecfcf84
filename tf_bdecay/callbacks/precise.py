"""Evaluation with re-estimated statistics, for any `fit` and `evaluate`."""

import warnings
from collections.abc import Iterator

import keras

from tf_bdecay.callbacks.statistics import BATCHES, Passes
from tf_bdecay.errors import check_count, check_flag, require


class PreciseStatistics(keras.callbacks.Callback):
    """Evaluates with precise statistics, in `evaluate` and in `fit` with validation data.

    Before each evaluation the model gets the `precise_statistics` of its weights; after it, the
    moving ones are restored, to the bit. Training, and checkpoints at the end of an epoch, are as
    without the callback. An evaluation costs n more forward passes. If an estimate is not finite,
    that evaluation uses the moving statistics, with a warning.

    Args:
        data, batches, batch_size: as in `precise_statistics`; the data are read from their
            beginning each time.
        try_first: whether to try one batch when `fit` begins, so that unusable data are refused
            before training. This takes as long as tracing a forward pass.

    Raises:
        BadInput: an argument is out of range; when `fit` begins, `precise_statistics` refuses the
            model or data, or the data can be read only once.

    Example:

        precise = tf_bdecay.callbacks.PreciseStatistics((x_train, y_train), batch_size=512)
        model.fit(..., validation_data=(x_test, y_test), callbacks=[precise])
    """

    def __init__(self, data, batches=BATCHES, batch_size=32, try_first=True):
        super().__init__()
        check_count("batches", batches, of="PreciseStatistics")
        check_count("batch_size", batch_size, of="PreciseStatistics", what="a number of examples")
        check_flag("try_first", try_first, of="PreciseStatistics")
        self.data, self.batches, self.batch_size = data, batches, batch_size
        self.try_first = try_first
        self._passes = self._given = None

    def on_train_begin(self, logs=None):
        """Refuses, before training, what cannot be estimated."""
        self.restore()
        refuse_iterator(self.data, of="PreciseStatistics")
        self._passes = Passes(self.model)
        if self.try_first:
            self._passes.statistics(self.data, 1, self.batch_size)

    def estimate(self):
        """The `Statistics` of the model's weights as they are now."""
        if self._passes is None or self._passes.model is not self.model:
            self._passes = Passes(self.model)
        return self._passes.statistics(self.data, self.batches, self.batch_size)

    def on_test_begin(self, logs=None):
        """Gives the model its precise statistics."""
        self.restore()
        found = self.estimate()
        if not found.finite:
            warnings.warn(
                "The precise statistics are not finite: this evaluation is by the moving ones.",
                stacklevel=2,
            )
            return
        self._given = found.__enter__()

    def on_test_end(self, logs=None):
        """Restores the moving statistics."""
        self.restore()

    def restore(self):
        """Restores the moving statistics, also after an evaluation that was cut off."""
        given, self._given = self._given, None
        if given is not None:
            given.__exit__()


def refuse_iterator(data, of):
    """Raises `BadInput` for data that can be read only once, as evaluations read them again."""
    require(
        not isinstance(data, Iterator),
        f"{of} reads its data at every evaluation, and an iterator gives them once: pass arrays, "
        "or a tf.data.Dataset or a keras.utils.PyDataset of batches. "
        f"Received: {type(data).__name__}",
    )
