"""The results that `train` leaves when it runs in this process."""

import io
import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.training.made import config_of
from tf_bdecay.errors import BadInput
from tf_bdecay.storage import events
from tf_bdecay.training import running
from tf_bdecay.training.building import experiment
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.fitting import loop
from tf_bdecay.training.records import report
from tf_bdecay.training.run_folder.workdir import Workdir
from tools.kills.compare import differences


def train(made, path):
    page = io.StringIO()
    workdir = Workdir(path, flatten(made.config))
    return running.train(made, workdir, Console(file=page, width=500)), page.getvalue()


def test_training_leaves_a_result_once_all_else_is_there(small, tmp_path, monkeypatch):
    """The result says that the run is finished: where the picture fails there must be none."""
    made = experiment.build(config_of())
    start = made.model.get_weights()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space left"):
        patch.setattr(report, "draw", _no_space)
        train(made, tmp_path)
    assert (tmp_path / "model.keras").exists() and not (tmp_path / "result.json").exists()
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "layers.csv").unlink()
    again = experiment.build(config_of())  # and the same command ends what is left
    result, page = train(again, tmp_path)
    assert "metrics.csv lacks rows of 1 of the 1 updates that it had before the checkpoint" in page
    assert "layers.csv lacks rows of 2 of the 2 updates that it had before the checkpoint" in page
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert (result["updates"], result["epochs"], result["seed"]) == (4, 1, 0)
    assert f"{100 * result['test_accuracy']:.2f}"[:4] in page
    saved = keras.models.load_model(tmp_path / "model.keras").get_weights()
    for a, b, c in zip(saved, made.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert any((a != b).any() for a, b in zip(start, saved, strict=True))


@pytest.mark.slow
def test_the_average_of_the_weights_is_evaluated_beside_them(small, tmp_path):
    """With momentum 0 it is the weights; the final model is that of the weights in any case."""
    config = config_of(**{"ema.momentum": 0.0, "epochs": 2, "data.validation": 0.1})
    config.batch_size = 640
    made = experiment.build(config)
    result, page = train(made, tmp_path)
    for name in ("accuracy", "loss"):
        assert result[f"test_{name}_average"] == result[f"test_{name}_precise"]
    assert "test accuracy, averaged weights" in page
    rows = pd.read_csv(tmp_path / "metrics.csv")
    np.testing.assert_array_equal(
        rows["validation_accuracy_average"], rows["validation_accuracy_precise"]
    )
    assert np.isfinite(rows["validation_loss_average"]).all()
    model, average = (
        keras.models.load_model(tmp_path / f"{name}.keras") for name in ("model", "model_average")
    )
    for a, b in zip(model.trainable_variables, average.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)  # and only the statistics differ
    for a, b in zip(model.get_weights(), made.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    average.compile(loss=made.trainer.loss, metrics=["accuracy"])
    found = average.evaluate(loop.evaluation_batches(made, "test"), verbose=0)
    assert found == pytest.approx([result["test_loss_average"], result["test_accuracy_average"]])


@pytest.mark.parametrize("update", [3, 4, 8])
@pytest.mark.slow
def test_the_noise_scale_is_the_same_in_a_run_that_goes_on(small, tmp_path, update):
    """From inside an epoch, its end and the last update: the means are in the checkpoint."""
    changes = {"epochs": 2, "micro_batch_size": 32, "log.checkpoint_updates": 1}
    changes |= {"log.gradient_noise_scale": True, "log.checkpoints_kept": 99}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    result, page = train(experiment.build(config_of(**changes)), whole)
    rows = pd.read_csv(whole / "metrics.csv")
    assert (rows["gradient_noise_scale"] > 0).all() and result["gradient_noise_scale_of_run"] > 0
    assert "By the gradient noise scale over the run an update at 352 is worth" in page
    assert ("gradient_noise", 8) in {
        (tag, step) for tag, step, _ in events.read(whole / "tensorboard")
    }
    shutil.copytree(whole, cut, ignore=shutil.ignore_patterns("result.json", "kept.json", "best*"))
    for later in cut.glob("checkpoints/update_*"):
        if int(later.stem.removeprefix("update_")) > update:
            later.unlink()
    train(experiment.build(config_of(**changes)), cut)
    assert differences(whole, cut) == []


def _no_space(*arguments):
    raise OSError("no space left")


def test_two_runs_do_not_share_a_workdir(small, tmp_path):
    config = config_of()
    made = experiment.build(config)
    with Workdir(tmp_path, flatten(config)).lock(), pytest.raises(BadInput):
        train(made, tmp_path)
    assert int(made.trainer.optimizer.iterations) == 0
