"""A run made and trained in the process: what `build` checks and makes, what `train` leaves."""

import io
import json

import keras
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from configs import digits_resnet18
from tests.training.small import network
from tf_bdecay.errors import BadInput
from tf_bdecay.training import config as checks
from tf_bdecay.training import experiment, loop, parts, report
from tf_bdecay.training.trainer import Trainer
from tf_bdecay.training.workdir import Workdir


def config_of(**changes):
    config = digits_resnet18.get_config()
    changes = {
        "batch_size": 352,
        "epochs": 1,
        "model.width": 4,
        "decay.threshold": 0.02,
        "log.summaries_every": 2,
        **changes,
    }
    config.update_from_flattened_dict(changes)
    checks.check(config)
    return config


@pytest.fixture
def small(monkeypatch):
    """A network of two convolutions in place of ResNet18."""
    monkeypatch.setattr(parts, "make_model", lambda *_: network())


def train(made, path):
    page = io.StringIO()
    workdir = Workdir(path, checks.flatten(made.config))
    return experiment.train(made, workdir, Console(file=page, width=500)), page.getvalue()


def test_build_makes_all_that_an_update_needs():
    made = experiment.build(config_of())
    assert isinstance(made.trainer, Trainer) and made.strategy is None
    shared = zip(made.model.variables, made.trainer.variables, strict=False)
    assert all(a is b for a, b in shared) and len(made.model.variables) > 100
    optimizer = made.trainer.optimizer
    assert optimizer.built and len(optimizer.roles.pairs) == 20
    variables = [v.path for v in made.trainer.metrics_variables]
    assert len(variables) >= 4  # loss and accuracy, before a first batch
    size = made.size
    assert size.total_updates == size.updates_per_epoch == 4
    assert float(made.schedule(0)) < size.peak


def test_the_seed_decides_the_initial_weights():
    def weights(seed):
        made = experiment.build(config_of(seed=seed))
        return made.model.get_weights()

    first, again, other = weights(1), weights(1), weights(2)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_precision_of_a_run_ends_with_its_making(small):
    made = experiment.build(config_of(precision="mixed_bfloat16"))
    assert keras.config.dtype_policy().name == "float32"
    assert {v.dtype for v in made.model.trainable_variables} == {"float32"}


def test_images_that_are_loaded_already(small):
    config = config_of()
    images = experiment.load_images(config)
    assert experiment.build(config, images=images).images is images


def test_a_batch_that_is_larger_than_the_set_is_refused():
    with pytest.raises(BadInput, match="batch_size=4096 is larger than the 1438 training images"):
        experiment.build(config_of(batch_size=4096))


def test_the_description_names_what_was_resolved():
    config = config_of(**{"micro_batch_size": 32, "precision": "mixed_bfloat16"})
    text = experiment.describe(experiment.build(config))
    for path in checks.flatten(config):
        assert f"config.{path} = " in text
    for words in (
        "digits: 1,438 images to train on, 359 to test on, 8x8x1, 10 classes",
        "resnet18, width 4: ",
        "352 images on 1 replica, 32 at a time, in mixed_bfloat16",
        "4 an epoch, 1 epochs: 4",
    ):
        assert words in text
    assert text.count("/gamma") >= 20  # the role of every variable


def test_training_leaves_a_result_once_all_else_is_there(small, tmp_path, monkeypatch):
    """The result says that the run is finished: where the picture fails there must be none."""
    made = experiment.build(config_of())
    start = made.model.get_weights()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space left"):
        patch.setattr(report, "draw", _no_space)
        train(made, tmp_path)
    assert (tmp_path / "model.keras").exists() and not (tmp_path / "result.json").exists()
    again = experiment.build(config_of())  # and the same command ends what is left
    result, page = train(again, tmp_path)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert (result["updates"], result["epochs"], result["seed"]) == (4, 1, 0)
    assert f"{100 * result['test_accuracy']:.2f}"[:4] in page
    saved = keras.models.load_model(tmp_path / "model.keras").get_weights()
    for a, b, c in zip(saved, made.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert any((a != b).any() for a, b in zip(start, saved, strict=True))


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


def _no_space(*arguments):
    raise OSError("no space left")


def test_two_runs_do_not_share_a_workdir(small, tmp_path):
    config = config_of()
    made = experiment.build(config)
    with Workdir(tmp_path, checks.flatten(config)).lock(), pytest.raises(BadInput):
        train(made, tmp_path)
    assert int(made.trainer.optimizer.iterations) == 0
