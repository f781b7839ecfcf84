"""Models, losses and examples as they are loaded, and what is wrong with them."""

import json

import keras
import numpy as np

from tests.sharpness.networks import examples_for
from tests.sharpness_command.commands import (
    numbers,
    saved,
)
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
