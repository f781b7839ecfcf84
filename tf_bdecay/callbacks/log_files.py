"""What callbacks write to their `log_dir`: tables and an event file, by one process of many."""

import warnings

import keras

from tf_bdecay.errors import BadInput
from tf_bdecay.storage.tables import Table, counts, lost_since, set_aside


class LogFiles:
    """The tables of a callback and, under TensorFlow, its event file.

    Args:
        callback: has the folder, `log_dir`, which is created if missing.
        tables: dict of a table's file name to its columns, the first of which numbers the rows.
        after: rows of higher numbers are dropped, as this run will write them again. At 0 a run
            begins: the tables of an earlier one are kept under other names, with a warning.

    Attributes:
        tables: list of `Table`, in that order.
        events: an `Events`; None under other backends.
    """

    def __init__(self, callback, tables, after):
        folder, self._of = callback.log_dir, type(callback).__name__
        if not after:
            self._keep_earlier([folder / name for name in tables])
        folder.mkdir(parents=True, exist_ok=True)
        otherwise = f"name another log_dir of {self._of}"
        self.tables = [
            Table(folder / name, columns, key=columns[0], after=after, otherwise=otherwise)
            for name, columns in tables.items()
        ]
        self.events = None
        if keras.backend.backend() == "tensorflow":
            from tf_bdecay.storage.events import Events  # which needs TensorFlow

            self.events = Events(folder)

    def flush(self):
        """Writes to disk what was added, and what an earlier call could not write."""
        for file in (*self.tables, self.events):
            if file:
                file.flush()

    def counts(self):
        """The tables' row counts, for `Resume`."""
        return counts(self.tables)

    def warn_of_lost(self, kept):
        """Warns if the tables have lost rows since a checkpoint, which kept their `counts`."""
        for sentence in lost_since(self.tables, kept):
            warnings.warn(f"{self._of}: {sentence}", stacklevel=3)

    def _keep_earlier(self, paths):
        kept = set_aside(paths)
        if kept:
            warnings.warn(
                f"{self._of} begins a new run in {paths[0].parent}: the tables of the one before "
                f"are kept as {' and '.join(kept)}.",
                stacklevel=4,
            )


def leads(model):
    """Whether this process, of all that train the model, is the one that writes and prints."""
    if keras.backend.backend() != "tensorflow":
        return True
    from tf_bdecay.distribution import sharding

    return sharding.is_leader(model.distribute_strategy)


def unusable(callback, why):
    """The `BadInput` for a `log_dir` that cannot be written, or holds files of someone else."""
    return BadInput(
        f"`log_dir` of {type(callback).__name__} cannot be used ({why}): name another folder. "
        f"Received: log_dir={str(callback.log_dir)!r}"
    )
