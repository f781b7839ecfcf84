"""Fixtures: a saved model with its data, and workdirs of a run."""

import signal

import pytest

from tests.sharpness_command.commands import named_files
from tf_bdecay.storage import checkpoint_file
from tf_bdecay.storage.files import json_ready, write_json
from tf_bdecay.training.config import config_file
from tf_bdecay.training.config.dotted import flatten


@pytest.fixture(autouse=True)
def interruptible():
    """A shell in the background starts its processes without SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def files(tmp_path):
    return named_files(tmp_path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Workdirs of the same network, one with a checkpoint and one finished, and its trainer."""
    from tf_bdecay.training.building import experiment  # TensorFlow's; conftests load under JAX too

    folder = tmp_path_factory.mktemp("runs")
    config = config_file.load("configs/digits_resnet18.py:no_bias", config_file.ROOT)
    config.model = {"name": "vgg11", "width": 2, "logits_initializer": "fan_in"}
    made = experiment.build(config)
    for name in ("begun", "finished"):
        (folder / name).mkdir()
        write_json(folder / name / "config.json", json_ready(flatten(config)))
    arrays = checkpoint_file.snapshot(
        checkpoint_file.state_of(made.trainer, made.trainer.optimizer)
    )
    (folder / "begun" / "checkpoints").mkdir()
    checkpoint_file.write(
        folder / "begun" / "checkpoints" / "update_00000007.npz", arrays, {"update": 7}
    )
    made.model.save(folder / "finished" / "model.keras")
    write_json(folder / "finished" / "result.json", {})
    return folder
