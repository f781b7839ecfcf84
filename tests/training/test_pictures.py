"""Runs on pictures in files, from data.source to result: cut off, on replicas, with damage."""

import io
import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from configs import imagenet_tiny
from tests.data.pictures.in_memory import jpeg, write_folders
from tests.processes import ended
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.training import evaluation, running
from tf_bdecay.training.building import experiment, initial, parts
from tf_bdecay.training.config.checks import check
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.fitting import loop
from tf_bdecay.training.run_folder import weights
from tf_bdecay.training.run_folder.workdir import Workdir


@pytest.fixture
def source(tmp_path):
    """Three class folders of 14 pictures."""
    return write_folders(tmp_path / "pictures", "abc", 42)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A network of one convolution in place of ResNet50-D."""

    def network(*_):
        inputs = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(8, 3, 2, use_bias=False, name="conv")(inputs)
        x = GhostBatchNormalization(8, name="norm")(x)
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("tanh")(x))
        return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))

    monkeypatch.setattr(parts, "make_model", network)


def config_of(source, **changes):
    config = imagenet_tiny.get_config()
    config.update_from_flattened_dict(
        {
            "data.source": str(source),
            "data.size": 16,
            "batch_size": 16,
            "epochs": 3,
            "model.ghost_batch_size": 8,
            "log.checkpoint_updates": 1,
            "log.checkpoints_kept": 9,
            **changes,
        }
    )
    check(config)
    return config


def train(config, path):
    made = experiment.build(config)
    workdir, page = Workdir(path, flatten(config)), io.StringIO()
    result = running.train(made, workdir, Console(file=page, width=500))
    return made, result


def test_the_pictures_that_are_shown_first_are_the_first_of_training(source):
    made = experiment.build(config_of(source))
    shown, labels = loop.first_pictures(made, 5)
    x, y = next(iter(loop._training_batches(made, 0)))
    np.testing.assert_array_equal(shown, x[:5])
    np.testing.assert_array_equal(labels, y[:5])
    assert len(loop.first_pictures(made, 99)[1]) == 16  # a batch


def test_a_probe_batch_has_every_class(source, tmp_path):
    """The pictures are stored class after class: the first 16 are of two of the three."""
    probe = {"decay.source": "probe", "decay.probe_every": 1, "decay.probe_examples": 16}
    made = experiment.build(config_of(source, **probe))
    run = running._Run(made, Workdir(tmp_path / "run", flatten(made.config)), None)
    x, y = run._probe().data
    assert (len(x), set(y)) == (16, {0, 1, 2})


def test_weights_are_evaluated_on_other_pictures_of_the_same_classes_alone(source, tmp_path):
    run = tmp_path / "run"
    train(config_of(source, epochs=1), run)
    other = write_folders(tmp_path / "other", "abc", 24)
    page, given = Console(file=io.StringIO()), weights.find(run)
    evaluation.evaluate(experiment.build(config_of(other)), given, run, page)
    before = (run / evaluation.FILE).read_bytes()
    (other / "a").rename(other / "d")
    made = experiment.build(config_of(other))
    with pytest.raises(BadInput, match="on other classes .class 0 is 'a' there and 'b' here"):
        evaluation.evaluate(made, given, run, page)
    assert (run / evaluation.FILE).read_bytes() == before
    assert initial.load(given, made.model, classes=made.images.classes).head == "head"


MIXED = {"data.mixup": 0.2, "data.cutmix": 1.0, "label_smoothing": 0.1}
STRONG = {**MIXED, "data.randaugment": 2}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, STRONG], ids=["crops", "RandAugment, MixUp and CutMix"])
def test_a_run_that_is_cut_off_goes_on_to_the_same_weights(source, tmp_path, changes):
    if "data.randaugment" in changes:
        pytest.importorskip("keras_cv", reason="keras-cv is not installed")
    config = config_of(source, **changes)
    made, result = train(config, tmp_path / "run")
    assert result["updates"] == 6 and np.isfinite(result["test_loss"])
    with Image.open(tmp_path / "run" / "training.png") as sheet:
        assert min(sheet.size) > 400
    record = json.loads((tmp_path / "run" / "pictures.json").read_text())
    assert record["classes"] == ["a", "b", "c"] and record["number of train pictures"] == 34
    (start,) = json.loads((tmp_path / "run" / "versions.json").read_text())
    assert ("keras-cv" in start) == ("data.randaugment" in changes)

    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "run", cut)
    (cut / "result.json").unlink()
    for update in (4, 5, 6):  # the third is in the middle of an epoch
        (cut / "checkpoints" / f"update_{update:08}.npz").unlink()
    again, other = train(config, cut)
    assert other == result
    for a, b in zip(made.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)

    (cut / "result.json").unlink()
    (source / "a" / "0.jpg").rename(source / "a" / "other.jpg")
    with pytest.raises(BadInput, match="pictures are not those that the run in .* began with"):
        train(config, cut)


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.quick_rows(1)
def test_a_damaged_picture_is_named_or_left_out(source, tmp_path, on_error):
    (source / "b" / "1.jpg").write_bytes(jpeg(1)[:200])
    config = config_of(source, **{"data.on_error": on_error})
    if on_error == "stop":
        with pytest.raises(BadInput, match=r"A picture cannot be used: .*1\.jpg.* is cut short"):
            train(config, tmp_path / "run")
        return
    train(config, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "pictures.json").read_text())
    ((split, sentence),) = record["skipped pictures"]
    assert split == "train" and "1.jpg is cut short" in sentence


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, MIXED], ids=["crops", "MixUp and CutMix"])
def test_two_replicas_and_two_workers_are_one_device(source, tmp_path, changes):
    """The commands of a user, each in processes of its own: every epoch's batch is the same.

    The first rate is 0, so that two epochs see the first weights; later ones differ by rounding,
    which kinks of ReLUs make large.
    """
    config = [
        "--config=configs/folder_resnet18.py",
        f"--config.data.source={source}",
        "--config.data.size=32",
        "--config.batch_size=32",
        "--config.model.width=16",
        "--config.model.ghost_batch_size=16",
        "--config.epochs=3",
        *(f"--config.{key}={value}" for key, value in changes.items()),
    ]
    commands = {
        "one": ["main.py", *config],
        "replicas": ["main.py", *config, "--strategy=mirrored", "--logical_devices=2"],
        "workers": ["tools/launch.py", "--workers=2", "--", *config],
    }
    losses = []
    for name, command in commands.items():
        run = ended([*command, f"--workdir={tmp_path / name}"])
        assert run.returncode == 0, run.stderr
        losses.append(pd.read_csv(tmp_path / name / "metrics.csv")["loss"][:2])
    assert losses[0][0] != losses[0][1]
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], rtol=1e-4)
