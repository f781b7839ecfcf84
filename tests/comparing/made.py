"""Makes folders of small runs, with the files that a run writes."""

import json

import numpy as np
import pandas as pd

LAYERS = ("a", "b", "c")


def run(
    path,
    seed=0,
    variant="adaptive",
    epochs=3,
    per_epoch=4,
    layers=True,
    finished=True,
    smoothing=0.0,
):
    """Writes a run's folder; returns its data frames of metrics and of layers."""
    path.mkdir(parents=True)
    config = {"experiment": "made", "variant": variant, "seed": seed, "decay": {"beta": 1.0}}
    config["label_smoothing"] = smoothing
    (path / "config.json").write_text(json.dumps(config))
    epoch = np.arange(1, epochs + 1)
    metrics = pd.DataFrame(
        {
            "epoch": epoch,
            "update": per_epoch * epoch,
            "loss": 1.0 / (epoch + seed),
            "test_accuracy": 0.5 + 0.1 * epoch,
            "test_accuracy_precise": 0.6 + 0.1 * epoch,
        }
    )
    result = {"test_loss": 0.25}
    if layers:
        metrics["decay_on_fraction"] = 0.1 * epoch
        metrics["skipped_updates"] = 2  # all in the first epoch
        result["decay_on_fraction"] = 0.375
    if smoothing:
        metrics["crossentropy"] = metrics["loss"] - smoothing
        result["test_crossentropy"] = 0.25 - smoothing
    metrics.to_csv(path / "metrics.csv", index=False)
    rng = np.random.default_rng(seed)
    rows = [
        dict(update=update, layer=layer, r=rng.uniform(0.01, 1), decay_on=int(rng.integers(2)))
        for update in range(1, per_epoch * epochs + 1)
        for layer in LAYERS
    ]
    if layers:
        pd.DataFrame(rows).to_csv(path / "layers.csv", index=False)
    if finished:
        (path / "result.json").write_text(json.dumps(result))
    return metrics, pd.DataFrame(rows)
