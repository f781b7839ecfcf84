"""Ends a run whose loss or gradients are no longer finite, on any backend."""

import math

import numpy as np

from tf_bdecay.optim.base import unwrapped
from tf_bdecay.training.fitting.counts_updates import CountsUpdates


class Diverged(RuntimeError):
    """Loss or gradients were not finite: the run stops.

    Args:
        message: sentence for the user.
        update: the last update that was done.
    """

    def __init__(self, message, update):
        super().__init__(message)
        self.update = update

    @classmethod
    def in_a_row(cls, count, update):
        """The error for `count` updates in a row, the last of which is `update`."""
        return cls(
            f"Loss or gradients were not finite in {count} updates in a row, the last of them "
            f"update {update}: the run stops.",
            update,
        )

    @classmethod
    def unskipped(cls, update):
        """The error for an update that is done because config.optimizer.skip_nonfinite is off."""
        return cls(
            f"Loss or gradients are not finite at update {update}, and config.optimizer."
            "skip_nonfinite is off, so the weights are lost: the run stops.",
            update,
        )


class StopDiverged(CountsUpdates):
    """Raises `Diverged` after too many skipped updates in a row.

    The optimizer counts them on the device. The counter is fetched every `limit` updates, at the
    end of an epoch, and when the loss of the previous update is not finite. This update's loss is
    not looked at, because the host would have to wait for it.

    Args:
        limit: how many in a row are too many.
        updates_per_epoch: of the run, to number the updates.
        after: the number of updates from which this run resumes.
    """

    def __init__(self, limit, updates_per_epoch, after=0):
        super().__init__(updates_per_epoch, after)
        self.limit = limit
        self._looked = after // limit
        self._before = 0.0

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        update = self.done
        loss, self._before = self._before, (logs or {}).get("loss", 0.0)
        finite = math.isfinite(float(loss))
        # An execution of several updates may step over a multiple of the limit.
        if finite and update // self.limit == self._looked and update % self.updates_per_epoch:
            return
        self._looked = update // self.limit
        optimizer = unwrapped(self.model.optimizer)
        in_a_row = optimizer.totals()["skipped_in_a_row"]
        if not optimizer.skip_nonfinite and not np.isfinite(optimizer.decision().sensitivity).all():
            raise Diverged.unskipped(update)
        if in_a_row >= self.limit:
            raise Diverged.in_a_row(self.limit, update - in_a_row + self.limit)
