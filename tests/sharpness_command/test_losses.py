"""Which loss is measured, and whether it takes logits."""

import keras
import pytest

from tests.sharpness_command.commands import (
    loss,
    numbers,
    saved,
)
from tf_bdecay import sharpness
from tf_bdecay.sharpness_command.run import main


def crossentropy_of_mine(y, p):
    return keras.losses.sparse_categorical_crossentropy(y, p, from_logits=True)


@pytest.mark.quick_rows(1)
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
