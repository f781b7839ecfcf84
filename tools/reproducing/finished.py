"""What is kept of a finished run: its numbers, its curves in few points, and what made it."""

import json

import pandas as pd

from tf_bdecay.storage.files import json_ready, versions
from tools import machine
from tools.reproducing import runs, store

_CURVE_POINTS = 25


def result_of(run, workdir, code, last):
    """What is kept of a finished or diverged run, as JSON values.

    Args:
        run: the `Run`.
        workdir: path of its folder, as main.py left it.
        code: main.py's exit code: 0, or that of a run that diverged.
        last: the last line that it said: why it diverged.
    """
    found = {
        "key": run.key,
        "label": run.label,
        "seed": run.seed,
        "numerics": runs.NUMERICS,
        "scale": run.scale.name,
        "spec": run.spec,
        "config": run.flat,
        "versions": versions(),
        "commit": machine.commit(),
        "cpu": machine.processor(),
        "backend": runs.backend(),
        "precision": "tf32" if run.scale.precision == "tf32" else run.flat["precision"],
        "curves": _curves(workdir),
    }
    if code:
        return {**found, "status": store.FAILED, "reason": last}
    result = json.loads((workdir / "result.json").read_text())
    measured = workdir / "measures.json"
    found["measures"] = json.loads(measured.read_text()) if measured.exists() else {}
    return {**found, "status": store.DONE, **{k: v for k, v in result.items() if k not in found}}


def _curves(workdir):
    """Columns of metrics.csv, layers.csv by layer and variables.csv by variable, thinned."""
    found = {}
    metrics = workdir / "metrics.csv"
    if metrics.exists():
        frame = pd.read_csv(metrics)
        seen = frame.index % max(1, len(frame) // _CURVE_POINTS) == 0
        frame = frame[seen | frame.filter(like="test_").notna().any(axis=1)]
        found["epochs"] = _lists(frame)
    layers = workdir / "layers.csv"
    if layers.exists():
        frame = pd.read_csv(layers)
        frame["part"] = (frame["update"] - 1) * _CURVE_POINTS // max(frame["update"].max(), 1)
        frame["decay_on"] = frame["decay_on"].astype(float)
        mean = frame.groupby(["layer", "part"], sort=False).mean(numeric_only=True).reset_index()
        found["layers"] = {
            layer: _lists(rows.drop(columns=["layer", "part"]))
            for layer, rows in mean.groupby("layer", sort=False)
        }
    variables = workdir / "variables.csv"
    if variables.exists():
        frame = pd.read_csv(variables)
        every = max(1, frame["epoch"].max() // _CURVE_POINTS)
        frame = frame[(frame["epoch"] % every == 0) | (frame["epoch"] == 1)]
        found["variables"] = {
            name: {"kind": rows["kind"].iloc[0], **_lists(rows[["epoch", "norm", "C_m"]])}
            for name, rows in frame.groupby("variable", sort=False)
        }
    return found


def _lists(frame):
    return {
        name: [None if pd.isna(v) else json_ready(float(f"{v:.5g}")) for v in frame[name]]
        for name in frame.columns
    }
