"""Models, losses and examples as they are loaded, and what is wrong with them."""

import json

import keras
import numpy as np
import pytest

from tests.sharpness.networks import examples_for
from tests.sharpness_command.commands import (
    loss,
    numbers,
    permuted,
    saved,
)
from tf_bdecay import sharpness
from tf_bdecay.sharpness_command.run import main
from tf_bdecay.storage.files import write_json


def test_examples_are_the_first_of_a_fixed_permutation(files, tmp_path, capsys):
    model, x, y, arguments = files
    out = tmp_path / "out"
    assert main([*arguments[:2], "--measures=C,C_m", "--examples=9", f"--out={out}"]) == 0
    x, y = (a[:9] for a in permuted(x, y))
    expected = sharpness.connectivity(model, loss(), (x, y))
    found = numbers(out)
    assert found["measures"]["C"]["total"] == pytest.approx(expected.total, rel=1e-5)
    assert found["measures"]["C_m"]["batch_size"] == 9
    assert "9 of 40 examples" in found["data"]
    assert "all examples in one batch" in capsys.readouterr().out


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
    assert "y of --data=" in refusal(x=x, y=y.astype("datetime64[D]"))
    assert "must hold numbers. Received: an array of complex128" in refusal(x=x, y=y + 1j)
    assert "x of --data=" in refusal(x=x.astype("timedelta64[s]"), y=y)
    assert "an array of complex64" in refusal(x=x + np.complex64(1j), y=y)
    assert "whole numbers of the model's 3 classes" in refusal(x=x, y=y + 0.5)
    assert "whole numbers of the model's 3 classes" in refusal(x=x, y=np.where(y > 1, np.nan, y))
    x[3, 0, 0, 0] = np.nan
    assert "Example 3, counted from 0, of" in refusal(x=x, y=y)
