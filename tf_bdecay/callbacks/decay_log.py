"""Logs what the optimizer decides in any `fit`: `logs`, a line per epoch, CSV, TensorBoard."""

import os

import keras
import numpy as np

from tf_bdecay.callbacks import decisions
from tf_bdecay.callbacks.log_files import LogFiles
from tf_bdecay.callbacks.update_log import UpdateLog
from tf_bdecay.errors import check_flag, require
from tf_bdecay.frameworks import extras
from tf_bdecay.optim.base import DecayByRole, unwrapped
from tf_bdecay.roles import kinds_of

_TOTALS, _ROWS = ("updates", "skipped_updates", "decay_on_updates"), "rows"
_TABLES = {
    "layers.csv": ("update", *decisions.LAYER_COLUMNS),
    "variables.csv": ("update", *decisions.VARIABLE_COLUMNS),
}


class DecayLog(UpdateLog):
    """Logs which betas decay, and why: r, C, decay on or off, trust ratios, gradient norms.

    Everything comes from the optimizer's own updates: nothing is measured again, and only the
    updates that are written wait for a fetch from the device. It writes

    * after each epoch a line: "beta decay on in 12 of 20 layers", for the epoch's last update;
    * in `logs`, for History and later callbacks: `decay_on_layers` (last update),
      `decay_on_fraction` (share of the epoch's layers and updates) and `skipped_updates` (so far);
      with `by_layer`, all scalars below too;
    * `layers.csv`: update, layer, C_beta, C_gamma, r, decay_on;
    * `variables.csv`: update, variable, role, C and, where there are any, trust ratio and gradient
      norm;
    * in TensorBoard, under TensorFlow, scalars by update: `r/LAYER`, `C_beta/LAYER`,
      `C_gamma/LAYER`, `decay_on/LAYER`, `C/KIND`, `trust_ratio/VARIABLE`,
      `gradient_norm/VARIABLE`.

    Gradient norms are there if the optimizer keeps them: `tf_bdecay.Lamb(...,
    gradient_norms=True)`. C is C_m, with m the global batch. All workers decide alike: each
    has the logs, and only the first writes and prints.

    Args:
        log_dir: folder of the files; TensorBoard's `--logdir`. None writes no files. Rows of
            updates that a run trains again are replaced. If other rows have been removed, a run
            resumed by `Resume` with this callback among its `callbacks` warns. Tables of an earlier
            run are kept under other names, such as `layers-1.csv`, with a warning.
        every: k, to write every k-th update; None writes the last update of each epoch. With
            `steps_per_execution`, the last update of an execution stands for the whole execution.
        by_layer: whether `logs` get every scalar.
        show: whether the line is printed.

    Raises:
        BadInput: an argument is out of range, or TensorBoard, which the files need, is not
            installed; when `fit` begins, the optimizer is not one of tf_bdecay, or the tables in
            log_dir are not this callback's.

    Example:

        log = tf_bdecay.callbacks.DecayLog("logs/decay")
        model.fit(x, y, epochs=20, callbacks=[log])
    """

    def __init__(
        self,
        log_dir: str | os.PathLike | None = "logs/decay",
        every: int | None = None,
        by_layer: bool = False,
        show: bool = True,
    ):
        super().__init__(log_dir, every, show)
        check_flag("by_layer", by_layer, of="DecayLog")
        if log_dir is not None and keras.backend.backend() == "tensorflow":
            extras.check("DecayLog with a log_dir", "tensorboard")
        self.by_layer = by_layer

    def on_train_begin(self, logs=None):
        """Checks the optimizer."""
        optimizer = unwrapped(self.model.optimizer)
        require(
            isinstance(optimizer, DecayByRole),
            "DecayLog tells of the decisions of an optimizer of tf_bdecay, such as tf_bdecay.Lamb: "
            f"compile the model with one. Received: optimizer={type(optimizer).__name__}",
        )
        self._optimizer, self._files, self._kinds = optimizer, None, None
        super().on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the totals before the first epoch."""
        if not self._begun:
            self._before = self._totals()
        super().on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch, logs=None):
        """Adds to the logs, writes and prints."""
        super().on_epoch_end(epoch, logs)
        decision = self._found()
        before, self._before = self._before, self._totals()
        found = _of_epoch(decision, before, self._before)
        if not self.every:
            self._write(decision)
        if logs is not None:
            logs.update(found)
            if self.by_layer:
                values = decisions.scalars(self._optimizer, decision, self._kinds)
                logs.update({tag: float(value) for tag, value in values.items()})
        self._say(epoch, line(decision, found, before))

    def get_state(self):
        """The totals at the start of this epoch, and the tables' row counts, for `Resume`."""
        begun = {name: np.asarray(self._before[name]).tolist() for name in _TOTALS}
        return begun | {_ROWS: self._files.counts() if self._files else {}}

    def set_state(self, state):
        """Counts an epoch from its start, also when the run resumes inside it.

        Warns if the tables have lost rows since the checkpoint.
        """
        self._before = {name: state[name] for name in _TOTALS}
        self._before["decay_on_updates"] = np.array(state["decay_on_updates"])
        if self._files:
            self._files.warn_of_lost(state.get(_ROWS, {}))

    def _open(self):
        files = LogFiles(self, _TABLES, self._done)
        if files.events and self._done:
            files.events.restarted(self._done)
        return files

    def _found(self):
        if self._kinds is None:  # the first update may build the optimizer
            self._kinds = kinds_of(self.model, self._optimizer.roles)
        return self._optimizer.decision()

    def _totals(self):
        if not self._optimizer.built:
            return dict.fromkeys(_TOTALS, 0)
        return self._optimizer.totals()

    def _put(self, decision):
        files, optimizer = self._files, self._optimizer
        of_tables = decisions.layer_rows, decisions.variable_rows
        for table, rows in zip(files.tables, of_tables, strict=True):
            for row in rows(optimizer, decision):
                table.add(update=self._done, **row)
        if files.events:
            values = decisions.scalars(optimizer, decision, self._kinds)
            files.events.scalars(self._done, values, decisions.describe_tag)
        files.flush()


def _of_epoch(decision, before, after):
    """What an epoch adds to `logs`.

    Args:
        decision: the `Decision` of its last update.
        before, after: the optimizer's totals at its start and end.
    """
    found = {"skipped_updates": after["skipped_updates"]}
    if decision.layers:
        found["decay_on_layers"] = int(decision.decay_on.sum())
        found["decay_on_fraction"] = float(decisions.decay_share(after, before).mean())
    return found


def line(decision, found, before):
    """An epoch in one line.

        >>> line(decision, found, before)
        'beta decay on in 1 of 2 layers (25 % over the epoch), r 0.02 to 0.3, largest in norm_1'

    Args:
        decision: the `Decision` of its last update.
        found: what it adds to `logs`, from `_of_epoch`.
        before: the optimizer's totals at its start.
    """
    skipped = found["skipped_updates"] - before["skipped_updates"]
    end = f"; {skipped} update{'s' * (skipped > 1)} skipped" if skipped else ""
    if not decision.layers:
        return f"no layer has both a gamma and a beta{end}"
    ratio = decision.bias_ratio
    return (
        f"beta decay on in {found['decay_on_layers']} of {len(decision.layers)} layers "
        f"({found['decay_on_fraction']:.0%} over the epoch), r {ratio.min():.2g} to "
        f"{ratio.max():.2g}, largest in {decision.layers[int(ratio.argmax())]}{end}"
    ).replace("%", " %")
