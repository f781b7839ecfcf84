"""What a run under JAX leaves in its folder: a checkpoint of all state, main.py's tables."""

import math
from typing import NamedTuple

import keras
import numpy as np

from tf_bdecay.callbacks import decisions
from tf_bdecay.errors import BadInput
from tf_bdecay.roles import kinds_of
from tf_bdecay.storage.files import atomic_write
from tf_bdecay.storage.tables import Table
from tf_bdecay.training.records import epoch_rows, variable_rows
from tools.reproducing.on_jax.step import State

_OTHERWISE = "remove its folder, and the run begins anew"


def save(path, state, epoch):
    """Writes a checkpoint atomically.

    Args:
        path: of the .npz.
        state: a `State`.
        epoch: epochs done.
    """
    arrays = {name: np.asarray(value) for name, value in _named(state).items()}
    atomic_write(path, lambda file: np.savez(file, epoch=epoch, **arrays))


def load(path, state):
    """What a checkpoint has.

    Args:
        path: of the .npz, which is there.
        state: a `State` of the shapes that it must have.

    Returns:
        (`State` of NumPy arrays, epochs done).

    Raises:
        BadInput: it is damaged, or of another run.
    """
    try:
        with np.load(path) as file:
            found = {name: file[name] for name in file.files}
        epoch = int(found.pop("epoch"))
        wanted = _named(state)
        shapes = {name: (v.shape, v.dtype) for name, v in found.items()}
        if shapes != {name: (v.shape, v.dtype) for name, v in wanted.items()}:
            raise ValueError("it has the variables of another run")
    except Exception as error:  # whatever a damaged archive makes of NumPy
        raise BadInput(f"{path} is damaged ({error}): {_OTHERWISE}.") from error
    groups = {field: len(values) for field, values in state._asdict().items()}
    return State(*([found[f"{g}_{i}"] for i in range(n)] for g, n in groups.items())), epoch


def _named(state):
    return {
        f"{group}_{i}": value
        for group, values in state._asdict().items()
        for i, value in enumerate(values)
    }


class _Logged(NamedTuple):
    """What an epoch's loop kept of the `Decision` of one update."""

    sensitivity: np.ndarray
    bias_ratio: np.ndarray
    decay_on: np.ndarray


class Rows:
    """metrics.csv, layers.csv and, where asked for, variables.csv, as main.py writes them.

    Args:
        folder: of the run.
        run: the `building.Run`.
        epoch: epochs done; rows beyond are dropped.
    """

    def __init__(self, folder, run, epoch):
        self.run, done = run, epoch * run.size.updates_per_epoch
        metrics = epoch_rows.columns(run.shown.values())
        layers = "update", *decisions.LAYER_COLUMNS
        self.metrics = Table(folder / "metrics.csv", metrics, after=done, otherwise=_OTHERWISE)
        self.layers = Table(folder / "layers.csv", layers, after=done, otherwise=_OTHERWISE)
        self.variables = None
        if run.config.log.variables:
            self.variables = Table(
                folder / "variables.csv", variable_rows.COLUMNS, after=done, otherwise=_OTHERWISE
            )

    def totals(self, state):
        """As `totals()` of an optimizer has them, what an epoch's share of decay is between."""
        read = self.run.steps.read
        updates = int(read(state, "iterations"))
        return {"updates": updates, "decay_on_updates": read(state, "decay_on_updates")}

    def add(self, epoch, before, state, logs, evaluated, seconds):
        """The rows of an epoch.

        Args:
            epoch: its number, from 0.
            before: the `totals` before it.
            state: the `State` after it.
            logs: from `Steps.epoch`, as NumPy arrays.
            evaluated: dict of a metric's name to its value; empty without an evaluation.
            seconds: that its updates took.
        """
        run = self.run
        per_epoch, read = run.size.updates_per_epoch, run.steps.read
        update, layers = (epoch + 1) * per_epoch, logs["decay_on"].shape[1]
        share = decisions.decay_share(self.totals(state), before)
        self.metrics.add(
            epoch=epoch + 1,
            update=update,
            loss=float(np.mean(logs["loss"])),
            accuracy=float(np.mean(logs["accuracy"])),
            learning_rate=float(run.schedule(max(int(read(state, "iterations")) - 1, 0))),
            decay_on_fraction=share.mean() if layers else "",
            skipped_updates=int(read(state, "skipped_updates")),
            images_per_second=round(per_epoch * run.config.batch_size / seconds, 1),
            seconds=round(seconds, 3),
            **evaluated,
        )
        self._add_layers(epoch * per_epoch, logs)
        if self.variables is not None:
            self._add_variables(epoch, update, state, logs)

    def flush(self):
        """Brings the rows so far to the disk."""
        for table in (self.metrics, self.layers, self.variables):
            if table is not None:
                table.flush()

    def _add_layers(self, before, logs):
        for i, sensitivity in enumerate(logs["sensitivity"]):
            update = before + i + 1
            if update % self.run.config.log.summaries_every:
                continue
            decision = _Logged(sensitivity, logs["bias_ratio"][i], logs["decay_on"][i])
            for row in decisions.layer_rows(self.run.optimizer, decision):
                self.layers.add(update=update, **row)

    def _add_variables(self, epoch, update, state, logs):
        roles = self.run.optimizer.roles
        kinds, means = kinds_of(self.run.model, roles), logs["sensitivity"].mean(0)
        norms = [math.sqrt(float(keras.ops.sum(keras.ops.square(v)))) for v in state.trainable]
        for row in variable_rows.rows(roles, kinds, norms, means, epoch + 1, update):
            self.variables.add(**row)
