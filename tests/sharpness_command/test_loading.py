"""Models, losses and examples are loaded, or a sentence says what is wrong with them."""

import json
import shutil

import keras
import numpy as np

from tests.data.sets import prepare_cifar10
from tests.sharpness.networks import examples_for
from tests.sharpness_command.commands import (
    numbers,
    saved,
)
from tf_bdecay.sharpness_command import flags, loading, subject
from tf_bdecay.sharpness_command.run import main
from tf_bdecay.storage.files import write_json


def test_a_checkpoint_and_the_finished_model_measure_alike(runs, tmp_path):
    for name in ("begun", "finished"):
        arguments = [f"--model={runs / name}", "--measures=C_m", "--examples=64"]
        assert main([*arguments, f"--out={tmp_path / name}"]) == 0
    begun, finished = (numbers(tmp_path / name) for name in ("begun", "finished"))
    assert begun["measures"] == finished["measures"]
    assert "update_00000007.npz" in begun["model"] and "model.keras" in finished["model"]
    assert begun["data"] == "digits, train split, 64 of 1,438 examples"


def unfinished(runs, path, **config):
    """A copy of the run that has a checkpoint, with other words in its config."""
    shutil.copytree(runs / "begun", path)
    before = json.loads((path / "config.json").read_text())
    write_json(path / "config.json", {**before, **config})
    return f"--model={path}"


def loaded(*arguments):
    """What a command line names."""
    options = flags.parse(arguments)
    found = subject.find(options.model)
    data = subject.check_data(found, options.data, options.data_dir, options.split)
    return loading.load(found, data, options)


def test_an_unfinished_run_is_measured_on_other_data_without_its_own(runs, tmp_path):
    """Nothing is read to learn a shape or a number of classes."""
    finished = loaded(f"--model={runs / 'finished'}", "--examples=30")
    np.savez(tmp_path / "data.npz", x=finished.x, y=finished.y)
    of_file = f"--data={tmp_path / 'data.npz'}"
    of_cifar = unfinished(runs, tmp_path / "cifar", **{"data.name": "cifar10"})
    gone = {"data.name": "pictures", "data.source": "gone"}
    of_pictures = unfinished(runs, tmp_path / "pictures", **gone)
    for model in (of_cifar, of_pictures):
        for data in (["--data=digits", "--examples=30"], [of_file]):
            found = loaded(model, *data)
            order = found.order if data == [of_file] else np.arange(30)
            np.testing.assert_array_equal(found.x, finished.x[order])
            np.testing.assert_array_equal(found.y, finished.y[order])
            assert found.model.input_shape == finished.model.input_shape
            for a, b in zip(found.model.weights, finished.model.weights, strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_pictures_run_is_measured_on_a_set_in_a_folder(runs, tmp_path, capsys):
    prepare_cifar10(tmp_path / "prepared")
    model = unfinished(runs, tmp_path / "run", **{"data.name": "pictures", "data.source": "gone"})
    given = [model, "--data=cifar10", f"--data_dir={tmp_path / 'prepared'}", "--measures=C"]
    assert main(given) == 2  # of digits, which have one channel
    said = "takes examples of shape 32x32x1. Received: cifar10, train split, of shape 32x32x3"
    assert said in capsys.readouterr().err


def test_a_network_of_images_takes_no_others(runs, tmp_path, capsys):
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 64), "float32"), y=np.arange(4))
    for model in ("begun", "finished"):
        arguments = [f"--model={runs / model}", f"--data={tmp_path / 'data.npz'}", "--measures=C"]
        assert main(arguments) == 2
        assert "takes " in (error := capsys.readouterr().err) and "of shape " in error


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
