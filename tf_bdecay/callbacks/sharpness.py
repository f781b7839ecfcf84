"""Logs sharpness by layer in any `fit`: TensorBoard, a picture, CSV and `logs`."""

import math
import os
import pathlib
import time
import warnings
from collections.abc import Sequence

import keras

from tf_bdecay.callbacks.log_files import LogFiles, leads, unusable
from tf_bdecay.errors import BadInput, check_count, check_flag, check_path
from tf_bdecay.frameworks import extras
from tf_bdecay.sharpness import registry

_COLUMNS = ("epoch", "asked", "measure", "level", "name", "value", "standard_error", "share")
_COSTS = ("epoch", "asked", "seconds", "share_of_epoch")
_TABLES = {"sharpness.csv": _COLUMNS, "sharpness_costs.csv": _COSTS}


class SharpnessCallback(keras.callbacks.Callback):
    """Measures the sharpness of the model at the end of every k-th epoch, and changes nothing.

    It works with any model and any optimizer, with or without a strategy. Epochs are numbered by
    how many have ended, 0 before training. It writes

    * in TensorBoard the scalars `sharpness/MEASURE/total`, `/standard_error`, `/layer/LAYER`,
      `/layer_standard_error/LAYER`, `/kind/KIND`, r of every normalization layer as `r/LAYER`
      (measured by C, or else C_m), and the cost, `sharpness/MEASURE/seconds` and
      `/share_of_epoch`, as a share of the time that the epoch took without it; a picture of the
      shares by layer, `sharpness/layers`;
    * `sharpness.csv` and `sharpness_costs.csv`, the same figures as tables;
    * each measure's total in `logs`, as `sharpness/MEASURE`: History has it, and callbacks after
      this one in the list, such as `EarlyStopping(monitor="sharpness/C", mode="min")`. Epochs that
      are not measured have none.

    Anything unusable is refused when `fit` begins: the first step of each measure is tried then,
    which also traces and compiles it. If a measurement fails later (the run diverges, memory runs
    out, or anything else), the callback warns, puts NaN in `logs` and a row of the level "failed"
    in `sharpness.csv`, and training goes on. Training also goes on if a file cannot be written: the
    missing rows are written as soon as it can be. Many workers measure together, and the first
    writes.

    Args:
        data: as in `tf_bdecay.sharpness.connectivity`: a pair (x, y) of arrays, or a finite data
            set that repeats itself exactly. A few hundred examples cost little and tell much.
        measures: names out of C, C_m, trace, eigenvalue, spectrum, fisher_rao, tangent, sam and
            asam; or "all".
        every: number of epochs between measurements, counted from the beginning: epochs k, 2k, ...
        log_dir: folder of the files; TensorBoard's `--logdir`. Rows of epochs that a run trains
            again are replaced. If other rows have been removed, a run resumed by `Resume` with this
            callback among its `callbacks` warns. Tables of an earlier run are kept under other
            names, such as `sharpness-1.csv`, with a warning.
        loss: as in `connectivity`; None for the loss that the model was compiled with.
        before: whether to measure before training too.
        **options: `batch_size` (m of C_m), `probes` and `tolerance` (trace), `eigenvalues` and
            `eigenvalue_tolerance`, `steps` and `spectrum_probes` (spectrum), `from_logits`
            (fisher_rao), `rho` (sam or asam), `seed`, `examples_at_once`, `memory_gb`,
            `full_precision`, `training`.

    Raises:
        BadInput: a measure or option is unknown, `every` is not a whole number >= 1, or a package
            that the files need is not installed; when `fit` begins, Keras runs on a backend other
            than TensorFlow, the model, loss, data or options cannot be measured, or log_dir cannot
            be used.

    Example:

        watch = tf_bdecay.callbacks.SharpnessCallback((x[:512], y[:512]), ("C", "trace"), every=5,
                                                      log_dir="logs", probes=16)
        model.fit(x, y, epochs=20, callbacks=[watch])
    """

    def __init__(
        self,
        data,
        measures: str | Sequence[str] = ("C",),
        every=1,
        log_dir: str | os.PathLike = "logs/sharpness",
        loss=None,
        before=False,
        **options,
    ):
        super().__init__()
        of = "SharpnessCallback"
        check_count("every", every, of=of, what="a whole number of epochs")
        check_flag("before", before, of=of)
        names = [measures] if isinstance(measures, str) else list(measures)
        self.measures = registry.chosen(names, "measure of SharpnessCallback")
        registry.check_options(self.measures, options)
        extras.check(of, "tensorboard", "pandas", "matplotlib")
        self.data, self.loss, self.options = data, loss, options
        self.every, self.before = int(every), before
        check_path("log_dir", log_dir, of=of)
        self.log_dir = pathlib.Path(log_dir)

    def on_train_begin(self, logs=None):
        """Checks whatever can be checked, before anything is trained."""
        for measure in self.measures:
            measure.check(self.model, self.loss, self.data, self.options)
        self._begun, self._files = False, None

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the epoch's clock, after the measurement before training if there is one."""
        if not self._begun:
            self._begun = True
            if leads(self.model):
                self._files = self._open(epoch)
            if self.before and epoch == 0:
                self._measure(0, math.nan)
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Measures if the epoch is due."""
        if (epoch + 1) % self.every == 0:
            totals = self._measure(epoch + 1, time.perf_counter() - self._began)
            if logs is not None:
                logs.update(totals)

    def get_state(self):
        """The tables' row counts, for `Resume`."""
        return self._files.counts() if self._files else {}

    def set_state(self, state):
        """Warns if the tables have lost rows since the checkpoint."""
        if self._files:
            self._files.warn_of_lost(state)

    def _open(self, epoch):
        from tf_bdecay.sharpness.over_examples.inputs import reason  # which needs TensorFlow

        try:
            return LogFiles(self, _TABLES, epoch)
        except BadInput:  # from a table; its sentence says what to do
            raise
        except Exception as error:  # whatever someone else's file may hold
            raise unusable(self, reason(error)) from error

    def _measure(self, epoch, took):
        """Measures, writes, and returns what `logs` get."""
        from tf_bdecay.sharpness.over_examples.inputs import reason
        from tf_bdecay.sharpness.results.plain_result import plain_result

        results, totals, failed = {}, {}, {}
        for measure in self.measures:
            start = time.perf_counter()
            try:
                result = measure.run(self.model, self.loss, self.data, self.options)
                results[measure.name] = plain_result(result, time.perf_counter() - start)
                totals[f"sharpness/{measure.name}"] = result.total
            except Exception as error:  # whatever it is, training matters more
                failed[measure.name] = reason(error)
                self._warn(f"{measure.name} was not measured after epoch {epoch}: {reason(error)}.")
                totals[f"sharpness/{measure.name}"] = math.nan
        if self._files:
            try:
                self._write(epoch, results, took, failed)
            except Exception as error:
                self._warn(f"it could not write after epoch {epoch}: {reason(error)}.")
        return totals

    def _write(self, epoch, results, took, failed):
        """Writes what was measured after an epoch.

        Args:
            epoch: how many epochs have ended.
            results: dict of measure to plain result.
            took: seconds of the epoch; NaN before training.
            failed: dict of measure to the reason why it has no result.
        """
        from tf_bdecay.sharpness.results import pictures
        from tf_bdecay.sharpness.results.plain_result import frame, ratios

        (rows, costs), events, scalars = self._files.tables, self._files.events, {}
        for name, each in results.items():
            seconds = each["seconds"]
            cost = dict(seconds=seconds, share_of_epoch=seconds / took)
            costs.add(epoch=epoch, asked=name, **cost)
            for row in frame(name, each).to_dict("records"):
                rows.add(epoch=epoch, **row)
            scalars.update({f"sharpness/{name}/{tag}": v for tag, v in _scalars(each, cost)})
        for name, why in failed.items():
            nothing = dict(value=math.nan, standard_error=math.nan, share=math.nan)
            rows.add(epoch=epoch, asked=name, measure=name, level="failed", name=why, **nothing)
        found = ratios(results)
        if found:
            scalars.update({f"r/{layer}": value for layer, value in found[0].items()})
        events.scalars(epoch, scalars)
        self._files.flush()  # whatever becomes of the picture
        if results:
            picture = pictures.layers(results, f"{self.model.name} after epoch {epoch}")
            events.image(epoch, "sharpness/layers", pictures.png(picture))
            events.flush()

    def _warn(self, sentence):
        warnings.warn(f"SharpnessCallback: {sentence}", stacklevel=2)


def _scalars(result, cost):
    """Tags and finite numbers of a measure, without r."""
    found = {"total": result["total"], "standard_error": result["standard_error"], **cost}
    for level in ("layer", "kind"):
        for group, cell in result[f"by_{level}"].items():
            found[f"{level}/{group}"] = cell["value"]
            if level == "layer":
                found[f"layer_standard_error/{group}"] = cell["standard_error"]
    return [(tag, v) for tag, v in found.items() if v is not None and math.isfinite(v)]
