"""variables.csv: the norm and the sharpness of every variable over training."""

import keras
import numpy as np

from tf_bdecay.optim.base import unwrapped
from tf_bdecay.roles import kinds_of
from tf_bdecay.storage.tables import Table
from tf_bdecay.training.fitting.counts_updates import START, CountsUpdates
from tf_bdecay.training.run_folder.workdir import ANOTHER

COLUMNS = ("epoch", "update", "variable", "kind", "norm", "C_m")
_SUM = "C_m of variable {}"
_COUNT = "updates"


class VariableRows(CountsUpdates):
    """Writes ||theta|| and C_m of every trainable variable at the end of each epoch.

        norm = ||theta_l||_2 at the epoch's end      C_m = mean over its updates of ||g theta||_1

    (eq. 4 with the reduced gradient of each update's batch; Figures 2 and 3 of the paper). It costs
    one fetch of V numbers per update, for which the host waits. With several updates in one
    execution it sees only the last. A skipped update counts with the value of the one before it.

    Args:
        workdir: the run's `Workdir`, opened.
        updates_per_epoch: of the run.
        start: the `Position` from which the run resumes.
    """

    def __init__(self, workdir, updates_per_epoch, start=START):
        super().__init__(updates_per_epoch, start.update)
        ended = start.epoch * updates_per_epoch
        self.table = Table(workdir.path / "variables.csv", COLUMNS, after=ended, otherwise=ANOTHER)
        self._ended = range(updates_per_epoch, ended + 1, updates_per_epoch)

    def lost(self, model):
        """What is missing from the file, as `Table.lost` says it, for a compiled model."""
        return self.table.lost(self._ended, len(unwrapped(model.optimizer).roles))

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._sums = np.zeros(len(unwrapped(self.model.optimizer).roles))
        self._count = 0

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self._sums += unwrapped(self.model.optimizer).sensitivity.numpy()
        self._count += 1

    def on_epoch_end(self, epoch, logs=None):
        roles = unwrapped(self.model.optimizer).roles
        kinds = kinds_of(self.model, roles)
        norms = _norms(roles.keras_variables)
        means = self._sums / max(self._count, 1)
        update = (epoch + 1) * self.updates_per_epoch
        for row in rows(roles, kinds, norms, means, epoch + 1, update):
            self.table.add(**row)

    def get_state(self):
        """The sums of an interrupted epoch."""
        return {_COUNT: self._count, **{_SUM.format(i): s for i, s in enumerate(self._sums)}}

    def set_state(self, state):
        """Resumes from what `get_state` returned, in an epoch that has begun."""
        self._sums = np.array([state.get(_SUM.format(i), 0.0) for i in range(len(self._sums))])
        self._count = state.get(_COUNT, 0)

    def flush(self):
        """Writes the rows so far to disk."""
        self.table.flush()


def rows(roles, kinds, norms, means, epoch, update):
    """Yields a row for each variable at the end of an epoch, as a dict of `COLUMNS`.

    Args:
        roles: of the V trainable variables.
        kinds, norms, means: of each variable its kind, norm and C_m: V values.
        epoch, update: numbers of the epoch, from 1, and of its last update.
    """
    for variable, kind, norm, mean in zip(roles.variables, kinds, norms, means, strict=True):
        values = epoch, update, variable.label, kind, float(f"{norm:.6g}"), float(f"{mean:.6g}")
        yield dict(zip(COLUMNS, values, strict=True))


def _norms(variables):
    """The L2 norm of each variable, in one fetch."""
    norms = [keras.ops.norm(keras.ops.cast(keras.ops.ravel(v), "float32")) for v in variables]
    return keras.ops.convert_to_numpy(keras.ops.stack(norms))
