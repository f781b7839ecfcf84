"""tools/reproducing/finished.py: what a result file keeps of a run's folder."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.tools.made_results import SMOKE
from tf_bdecay.terminal import outcome
from tools.reproducing import finished, runs, store, wanted


@pytest.fixture(scope="module")
def run():
    return runs.resolve(wanted.Arm("digits"), SMOKE, 0)


def test_curves_are_thinned_but_for_the_epochs_that_were_evaluated(run, tmp_path):
    epochs = np.arange(1, 101)
    evaluated = np.where(epochs % 10 == 0, 1 / epochs, np.nan)
    metrics = pd.DataFrame({"epoch": epochs, "test_accuracy": evaluated})
    metrics.to_csv(tmp_path / "metrics.csv", index=False)
    updates = np.repeat(np.arange(1, 101), 2)
    layers = pd.DataFrame({"update": updates, "layer": ["a", "b"] * 100, "decay_on": updates > 4})
    layers.to_csv(tmp_path / "layers.csv", index=False)
    rows = {"epoch": epochs, "variable": "w", "kind": "Conv", "norm": epochs / 3, "C_m": 1.0}
    pd.DataFrame(rows).to_csv(tmp_path / "variables.csv", index=False)
    (tmp_path / "result.json").write_text('{"test_accuracy": 0.5, "seed": "not this one\'s"}')
    (tmp_path / "measures.json").write_text('{"C": {"total": 2.0}}')

    found = finished.result_of(run, tmp_path, outcome.DONE, "")
    assert (found["status"], found["test_accuracy"], found["seed"]) == (store.DONE, 0.5, 0)
    assert found["measures"] == {"C": {"total": 2.0}}
    curves = found["curves"]
    kept = curves["epochs"]
    assert set(kept["epoch"]) == {*range(1, 101, 4), *range(10, 101, 10)}
    assert [e for e, v in zip(*kept.values(), strict=True) if v] == [*range(10, 101, 10)]
    for layer in curves["layers"].values():  # means over four updates each
        assert layer["update"] == [2.5 + 4 * i for i in range(25)]
        assert layer["decay_on"] == [0.0] + [1.0] * 24
    variable = curves["variables"]["w"]
    assert variable["kind"] == "Conv" and variable["epoch"] == [1, *range(4, 101, 4)]
    np.testing.assert_allclose(variable["norm"], np.divide(variable["epoch"], 3), rtol=1e-4)
    json.dumps(found, allow_nan=False)


def test_of_a_run_that_diverged_the_reason_is_kept(run, tmp_path):
    found = finished.result_of(run, tmp_path, outcome.DIVERGED, "5 updates in a row")
    assert (found["status"], found["reason"]) == (store.FAILED, "5 updates in a row")
    assert found["key"] == run.key and found["curves"] == {} and "test_accuracy" not in found
