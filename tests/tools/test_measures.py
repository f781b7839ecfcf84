"""tools/reproducing/measures.py: what is measured of a finished run."""

import json

import keras

from tests.tools.made_results import SMOKE
from tf_bdecay import sharpness
from tools.reproducing import measures, runs, tables, wanted


def test_a_measure_that_fails_loses_no_other(tmp_path, monkeypatch):
    run = runs.resolve(wanted.Arm("digits"), SMOKE, 0)
    (tmp_path / "config.json").write_text(json.dumps(run.flat))
    layers = [keras.layers.Flatten(), keras.layers.Dense(10)]
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(tmp_path / "model.keras")

    def fails(*args, **kwargs):
        raise MemoryError("no room")

    monkeypatch.setattr(sharpness, "fisher_rao", fails)
    measures.write(tmp_path, None, examples=16, m=8, probes=2)
    found = json.loads((tmp_path / "measures.json").read_text())
    assert found["failed"] == {"FR": "no room"} and "FR" not in found
    assert all(found[name]["total"] > 0 for name in ("C", "C_m", "trace", "lambda"))
    assert all(found[name]["cpu_seconds"] > 0 for name in ("C", "trace"))
    result = {"config": run.flat, "test_accuracy": 0.5, "test_loss": 1.0, "measures": found}
    shown = tables.quantities(result)
    assert shown["C"] == found["C"]["total"] and "FR" not in shown
