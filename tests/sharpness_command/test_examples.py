"""Which examples are measured, and why others cannot be."""

import numpy as np
import pytest

from tests.sharpness_command.commands import (
    loss,
    numbers,
    permuted,
)
from tf_bdecay import sharpness
from tf_bdecay.sharpness_command.run import main


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
