"""The folder of results: whose it is, and what a damaged file in it costs."""

import pytest
from rich.console import Console

from tests.sharpness.networks import convolutional
from tests.sharpness_command.commands import (
    InterruptsAt,
    contents,
    numbers,
    saved,
)
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness_command import run
from tf_bdecay.sharpness_command.folder import Folder
from tf_bdecay.sharpness_command.run import main


def test_a_damaged_partial_result_starts_that_measure_again(files, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "LINE_SECONDS", 0.0)
    arguments = [*files[-1][:2], "--measures=trace", "--probes=6", f"--out={tmp_path / 'out'}"]
    assert main(arguments, Console(file=InterruptsAt("trace: 3 of"))) == 130
    (tmp_path / "out" / "partial" / "trace.npz").write_bytes(b"half a file")
    assert main(arguments) == 0
    assert numbers(tmp_path / "out")["measures"]["trace"]["probes"] == 6


def test_another_command_in_the_same_folder_is_refused(files, tmp_path, capsys):
    arguments = [*files[-1][:2], f"--out={tmp_path / 'out'}"]
    assert main([*arguments, "--measures=C_m", "--batch_size=10"]) == 0
    before = contents(tmp_path / "out")
    for other, why in (
        (["--measures=C"], r"measures (C_m there, C here)"),
        (["--measures=C_m", "--batch_size=20"], "batch_size (10 there, 20 here)"),
        (["--measures=C_m", "--batch_size=10", "--examples=20"], "examples (default there, 20"),
    ):
        assert main([*arguments, *other]) == 2
        assert why in capsys.readouterr().err
    saved(tmp_path / "net.keras", convolutional(epsilon=0.1))
    assert main([*arguments, "--measures=C_m", "--batch_size=10"]) == 2
    assert "weights (" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    assert main([*files[-1][:2], f"--out={tmp_path / 'mine'}"]) == 2
    assert "is not empty and holds no measurement" in capsys.readouterr().err


def test_two_processes_in_one_folder(tmp_path):
    with Folder(tmp_path / "out", {}).open():
        other = Folder(tmp_path / "out", {})
        with pytest.raises(BadInput, match="in use by another process"), other.open():
            pass
    with other.open():
        pass


def test_by_default_every_command_has_a_folder_of_its_own(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 0, 1):
        assert main([*files[-1][:2], "--measures=C_m", f"--seed={seed}"]) == 0
    assert len(list((tmp_path / "sharpness").glob("net-*"))) == 2
    assert capsys.readouterr().out.count("was finished before") == 1
