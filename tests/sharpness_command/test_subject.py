import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.sharpness.networks import examples_for
from tests.sharpness_command.commands import loss, named_files, numbers, saved
from tf_bdecay import sharpness
from tf_bdecay.data import catalog
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness_command import flags, subject
from tf_bdecay.sharpness_command.run import main
from tf_bdecay.storage import checkpoints
from tf_bdecay.storage.files import plain, write_json
from tf_bdecay.training import command_line, experiment
from tf_bdecay.training.config import flatten


@pytest.fixture
def files(tmp_path):
    return named_files(tmp_path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Workdirs of the same network, one with a checkpoint and one finished, and its trainer."""
    folder = tmp_path_factory.mktemp("runs")
    config = command_line.load_config("configs/digits_resnet18.py:no_bias", ".")
    config.model = {"name": "vgg11", "width": 2, "logits_initializer": "fan_in"}
    made = experiment.build(config)
    for name in ("begun", "finished"):
        (folder / name).mkdir()
        write_json(folder / name / "config.json", plain(flatten(config)))
    arrays = checkpoints.snapshot(checkpoints.state_of(made.trainer, made.trainer.optimizer))
    (folder / "begun" / "checkpoints").mkdir()
    checkpoints.write(folder / "begun" / "checkpoints" / "update_00000007.npz", arrays, {})
    made.model.save(folder / "finished" / "model.keras")
    write_json(folder / "finished" / "result.json", {})
    return folder


def test_a_checkpoint_and_the_finished_model_measure_alike(runs, tmp_path):
    for name in ("begun", "finished"):
        arguments = [f"--model={runs / name}", "--measures=C_m", "--examples=64"]
        assert main([*arguments, f"--out={tmp_path / name}"]) == 0
    begun, finished = (numbers(tmp_path / name) for name in ("begun", "finished"))
    assert begun["measures"] == finished["measures"]
    assert "update_00000007.npz" in begun["model"] and "model.keras" in finished["model"]
    assert begun["data"] == "digits, train split, 64 of 1,438 examples"


def test_a_checkpoint_of_another_architecture(runs, tmp_path, capsys):
    other = tmp_path / "other"
    (other / "checkpoints").mkdir(parents=True)
    checkpoint = "checkpoints/update_00000007.npz"
    (other / checkpoint).write_bytes((runs / "begun" / checkpoint).read_bytes())
    config = json.loads((runs / "begun" / "config.json").read_text())
    write_json(other / "config.json", {**config, "model.width": 4})
    assert main([f"--model={other}", "--measures=C"]) == 2
    assert "is of another model or optimizer: 'model/0000/kernel'" in capsys.readouterr().err
    (other / checkpoint).write_bytes(b"PK")
    assert main([f"--model={other}", "--measures=C"]) == 2
    assert "is damaged" in capsys.readouterr().err


CUSTOM = """
import keras
@keras.saving.register_keras_serializable("test_command")
class Doubles(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


def test_layers_of_the_users_own(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "doubles_of_mine.py").write_text(CUSTOM)
    space = {}
    exec(CUSTOM, space)
    model = keras.Sequential([keras.Input((4,)), space["Doubles"](), keras.layers.Dense(3)])
    saved("own.keras", model)
    keras.saving.get_custom_objects().pop("test_command>Doubles")
    x, y = examples_for(model)
    np.savez("data.npz", x=x, y=y)
    arguments = ["--model=own.keras", "--data=data.npz", "--measures=C"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "'Doubles', which is not known here: register it by" in error
    assert main([*arguments, "--import=doubles_of_mine"]) == 0
    assert main([*arguments, "--import=nothing_of_mine", "--seed=1"]) == 2
    assert "No module named 'nothing_of_mine'" in capsys.readouterr().err


def crossentropy_of_mine(y, p):
    return keras.losses.sparse_categorical_crossentropy(y, p, from_logits=True)


def test_which_loss_and_what_it_takes(files, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, x, y, arguments = files
    path, arguments = tmp_path / "net.keras", [*arguments[:2], "--measures=C,fisher_rao"]
    expected = sharpness.connectivity(model, loss(), (x, y)).total

    def total(*more, out):
        assert main([*arguments, *more, f"--out={tmp_path / out}"]) == 0
        return numbers(tmp_path / out)["measures"]["C"]["total"]

    def refusal(*more):
        assert main([*arguments, *more]) == 2
        return capsys.readouterr().err

    assert total(out="compiled") == pytest.approx(expected, rel=1e-5)
    named = "--loss=sparse_categorical_crossentropy"
    assert total(named, "--from_logits", out="named") == pytest.approx(expected, rel=1e-5)
    assert "does not say whether the model gives logits or prob" in refusal(named)
    assert "compiled with a loss of logits: leave --nofrom_logits out" in refusal("--nofrom_logits")
    assert "did you mean 'poisson'" in refusal("--loss=poison")
    assert "mse does not say whether" in refusal("--loss=mse").replace("mean_squared_error", "mse")
    saved(path, model, loss=crossentropy_of_mine)
    assert "was compiled with, crossentropy_of_mine, is not known here" in refusal()
    saved(path, model, loss=None)
    assert "was saved without a loss: give --loss" in refusal()


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([], "Say what to measure: --model=WORKDIR"),
        (["--modle=x"], "Unknown flag '--modle': did you mean '--model'?"),
        (["--model=x", "--measures=trase"], "Unknown measure 'trase': did you mean 'trace'?"),
        (["--model=x", "--measures="], "Unknown measure ''|Name at least one measure"),
        (["--model=x", "--probes=0"], "--probes must be a whole number >= 2. Received: 0"),
        (["--model=x", "--probes=many"], "--probes must be a whole number. Received: 'many'"),
        (["--model=x", "--examples=0"], "--examples must be a whole number >= 1. Received: 0"),
        (["--model=x", "--memory_gb=-1"], "--memory_gb must be a number > 0. Received: -1.0"),
        (["--model=x", "--rho=nan", "--measures=sam"], "--rho must be a number > 0"),
        (["--model=x", "--steps=9"], "--steps is of spectrum, which the measures C, C_m,"),
        (["--model=x", "--measures=all", "--rho=1"], "measure them one at a time"),
        (["--model=x", "--training"], "add --measures=C_m. Received: --measures=C,C_m,trace"),
        (["--model=x", "--split=tset"], "Unknown split 'tset': did you mean 'test'?"),
        (["--model=x", "--strategy=miror"], "did you mean 'mirrored'?"),
        (["--model=x", "--logical_devices=2"], "has no effect without a strategy"),
        (["--model=x", "stray"], "takes flags only, such as --model=FILE.keras. Received: stray"),
        (["--model=no/such"], "--model=no/such is not there"),
        (["--model=tests"], "a folder without config.json, so no workdir of main.py"),
        (["--model=README.md"], "is not a model that Keras saved as .keras"),
    ],
)
def test_what_is_wrong_with_a_command_is_one_sentence(arguments, sentence, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert any(part in error for part in sentence.split("|")), error


def test_what_is_wrong_with_the_data(files, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, x, y, arguments = files

    def refusal(*more, **arrays):
        if arrays:
            np.savez(tmp_path / "bad.npz", **arrays)
            more = (f"--data={tmp_path / 'bad.npz'}", *more)
        assert main([arguments[0], "--measures=C", *more]) == 2
        return capsys.readouterr().err

    assert "does not say on which data: add --data=" in refusal()
    assert "Unknown data set 'digit': did you mean 'digits'?" in refusal("--data=digit")
    assert "none.npz is not there" in refusal("--data=none.npz")
    assert "must hold arrays x and y" in refusal(x=x, labels=y)
    assert "as many examples as each other" in refusal(x=x, y=y[1:])
    assert "at least one" in refusal(x=x[:0], y=y[:0])
    assert "cannot be read" in refusal(x=np.array([{}, {}]), y=y[:2])
    assert "takes examples of shape 5x5x2. Received:" in refusal(x=x[:, :4], y=y)
    assert "whole numbers of the model's 3 classes" in refusal(x=x, y=y + 1)
    assert "--examples=41 is more than there are" in refusal("--examples=41", x=x, y=y)
    assert "--split is of a named data set" in refusal("--split=test", x=x, y=y)
    assert "no images of digits were set aside" in refusal("--data=digits", "--split=validation")
    x[3, 0, 0, 0] = np.nan
    assert "of the data holds NaN or infinity" in refusal(x=x, y=y)


def test_flags_are_refused_and_explained_without_tensorflow():
    for arguments, code in ((["--model=x", "--measures=trase"], 2), (["--help"], 0)):
        done = subprocess.run(
            [sys.executable, "-m", "tf_bdecay.sharpness", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        )
        assert done.returncode == code
        assert "absl.flags" in done.stderr and "tensorflow" not in done.stderr
    assert all(f"--{name} " in done.stdout for name in flags._NAMES)


@pytest.mark.parametrize("channels, narrow", [(8, True), (16, False)])
def test_onednn_is_left_out_only_where_it_would_corrupt_memory(tmp_path, channels, narrow):
    inputs = keras.Input((8, 8, channels))
    inner = keras.Sequential(
        [keras.Input((8, 8, channels)), keras.layers.Conv2D(4, 1, strides=2, name="shortcut")]
    )
    keras.Model(inputs, inner(inputs)).save(tmp_path / "net.keras")
    assert subject.onednn_overruns(subject.find(tmp_path / "net.keras")) == narrow


@pytest.mark.parametrize("width, narrow", [(8, True), (16, False), (64, False)])
def test_onednn_by_the_width_of_a_run(runs, tmp_path, width, narrow):
    config = json.loads((runs / "finished" / "config.json").read_text())
    write_json(tmp_path / "config.json", {**config, "model.width": width})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "update_00000001.npz").write_bytes(b"")
    assert subject.onednn_overruns(subject.find(tmp_path)) == narrow


def test_a_run_without_weights_yet(tmp_path):
    config = {key: 0 for key in subject._NEEDED}
    write_json(tmp_path / "config.json", config)
    with pytest.raises(BadInput, match="neither a finished model nor a checkpoint yet"):
        subject.find(tmp_path)
    write_json(tmp_path / "config.json", {"a": 1})
    with pytest.raises(BadInput, match="not of a run of main.py"):
        subject.find(tmp_path)


def test_the_data_sets_are_those_of_the_catalog():
    assert flags.DATA_SETS == catalog.NAMES
