"""Reads a run's folder: its config, its curves and, once it is finished, its result."""

import math
import os
import pathlib
from typing import NamedTuple

import pandas as pd

from tf_bdecay.errors import require
from tf_bdecay.storage.files import read_json
from tf_bdecay.storage.tables import frame
from tf_bdecay.training.config.dotted import flatten

# The evaluation by which a run is compared: the first that it has. "precise" does not lag behind.
EVALUATIONS = (
    "test_accuracy_precise",
    "test_accuracy",
    "validation_accuracy_precise",
    "validation_accuracy",
)
_OTHERWISE = "name another run"
_METRICS, _LAYERS = {"epoch", "update", "loss"}, {"update", "layer", "r", "decay_on"}


class Run(NamedTuple):
    """A run, finished or not.

    Attributes:
        name: what the comparison calls it.
        config: dict of dotted path to value.
        metrics: data frame, a row for each epoch that has ended.
        layers: data frame, a row for each update and normalization layer; perhaps empty.
        result: dict, as in result.json; None while the run is not finished.
    """

    name: str
    config: dict
    metrics: pd.DataFrame
    layers: pd.DataFrame
    result: dict | None

    @property
    def evaluation(self):
        """The column of `metrics` with the accuracy to compare by; None if there is none."""
        return next((name for name in EVALUATIONS if name in self.metrics), None)

    @property
    def smoothing(self):
        """The share of a label that its loss spread over all classes; 0.0 for none."""
        return self.config.get("label_smoothing") or 0.0

    @property
    def updates_per_epoch(self):
        """Turns updates into epochs, so that runs of different batch sizes line up."""
        last = self.metrics.iloc[-1]
        return last["update"] / last["epoch"]


def read(paths):
    """Reads runs.

    Args:
        paths: of their folders, two or more.

    Returns:
        List of `Run`, named by their folders, or by the paths if two folders have the same name.

    Raises:
        BadInput: fewer than two runs, one twice, or a folder that is not a run's or is damaged.
    """
    require(len(paths) >= 2, f"Name two runs or more. Received: {len(paths)}")
    resolved = [pathlib.Path(path).resolve() for path in paths]
    for path, one in zip(paths, resolved, strict=True):
        require(resolved.count(one) == 1, f"The run {path} is named twice: name each once.")
    folders = [path.name for path in resolved]
    names = folders if len(set(folders)) == len(folders) else list(map(str, paths))
    return [_read(path, name) for path, name in zip(paths, names, strict=True)]


def _read(path, name):
    path = pathlib.Path(path)
    there = os.path.isfile(path / "config.json")  # pathlib's raises for too long a name
    require(there, f"{path} is no run's folder: it has no config.json. Name one that has.")
    config = flatten(read_json(path / "config.json", dict, _OTHERWISE))
    metrics = _table(path / "metrics.csv", _METRICS)
    require(len(metrics), f"{path} has no epoch that has ended yet: wait for its first.")
    layers = _table(path / "layers.csv", _LAYERS, needed=False)
    file = path / "result.json"
    result = read_json(file, dict, _OTHERWISE) if file.is_file() else None
    return Run(name, config, metrics, layers, result)


def _table(path, columns, needed=True):
    """A CSV file, which must have `columns`, as a data frame; empty if missing and not needed."""
    if not path.is_file() and not needed:
        return pd.DataFrame(columns=sorted(columns))
    table = frame(path, _OTHERWISE)
    lacking = sorted(columns - set(table.columns))
    require(not lacking, f"{path} is no table of a run: it lacks {', '.join(lacking)}.")
    for name, least in (("epoch", 1), ("update", 1), ("decay_on", 0)):
        right = name not in columns or (table[name] >= least).all()  # NaN is not
        require(right, f"{path} is damaged ({name} must be >= {least} everywhere): {_OTHERWISE}.")
    return table


def differences(runs):
    """Dict of a config's key to its value in each run, for the keys in which the runs differ.

    A key that only some runs have is left out: it depends on one in which they differ, such as
    decay.policy.
    """
    keys = [key for key in runs[0].config if all(key in run.config for run in runs)]
    found = {key: [run.config[key] for run in runs] for key in keys}
    return {key: values for key, values in found.items() if any(v != values[0] for v in values)}


class Loss(NamedTuple):
    """The loss by which runs can be compared, even if they smooth their labels differently.

    Attributes:
        name: what it is called, after "training" or "test".
        plain: whether it is that of labels that are not smoothed, however a run smooths them.
    """

    name: str
    plain: bool

    def column(self, run):
        """What a run calls this loss; without smoothing, "loss" is the cross-entropy."""
        return "crossentropy" if self.plain and run.smoothing else "loss"

    def curve(self, run):
        """The training loss by epoch; NaN if the run did not keep it."""
        return run.metrics.get(self.column(run), run.metrics["loss"] * math.nan)

    def at_the_end(self, run):
        """The loss on the test images; None if the run does not have it, or not yet."""
        name, result = f"test_{self.column(run)}", run.result or {}
        return result.get(f"{name}_precise", result.get(name))


def common_loss(runs):
    """The `Loss` of runs: what they train by if all smooth alike, otherwise the cross-entropy."""
    first, *others = (run.smoothing for run in runs)
    if any(smoothing != first for smoothing in others):
        return Loss("cross-entropy, labels not smoothed", plain=True)
    return Loss(f"loss of labels smoothed by {_word(first)}" if first else "loss", plain=False)


def rows(runs):
    """The result table.

    Args:
        runs: list of `Run`.

    Returns:
        (columns, rows): names, and a list of words for each run; "-" for what a run lacks.
    """
    loss = common_loss(runs)
    columns = ["run", *differences(runs), "epochs done", "updates", "accuracy", "evaluated by"]
    columns += [f"test {loss.name}", "decay on", "r at the end"]
    return columns, [_row(run, runs, loss.at_the_end(run)) for run in runs]


def _row(run, runs, loss):
    last = run.metrics.iloc[-1]
    accuracy = run.metrics[run.evaluation].dropna() if run.evaluation else ()
    on, ratio = decay_on(run), end_ratio(run)
    return [
        run.name if run.result else f"{run.name} (not finished)",
        *(_word(run.config[key]) for key in differences(runs)),
        f"{int(last['epoch'])}",
        f"{int(last['update']):,}",
        f"{accuracy.iloc[-1]:.2%}" if len(accuracy) else "-",
        run.evaluation.replace("_accuracy", "").replace("_", ", ") if len(accuracy) else "-",
        f"{loss:.4f}" if isinstance(loss, float) else "-",
        "-" if math.isnan(on) else f"{on:.1%}",
        "-" if math.isnan(ratio) else f"{ratio:.3g}",
    ]


def width(columns, rows, apart):
    """The width of a table's line, with `apart` blanks for each column."""
    return sum(max(map(len, cells)) + apart for cells in zip(columns, *rows, strict=True))


def decay_on(run):
    """The share of layers and updates in which beta decayed, as the run reports it; NaN for none.

    layers.csv has only every k-th update.
    """
    reported = (run.result or {}).get("decay_on_fraction")
    if isinstance(reported, float):
        return reported
    if "decay_on_fraction" not in run.metrics:
        return math.nan
    done = run.metrics["update"] - run.metrics.get("skipped_updates", 0)
    weights = done.diff().fillna(done)  # the first epoch has none before it
    shares = run.metrics["decay_on_fraction"]
    total = weights[shares.notna()].sum()
    return float((shares * weights).sum() / total) if total else math.nan


def end_ratio(run):
    """The median of r over layers at the last update that was written; NaN for none."""
    last = run.layers[run.layers["update"] == run.layers["update"].max()]
    return float(last["r"].median()) if len(last) else math.nan


def _word(value):
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else f"{value}"
