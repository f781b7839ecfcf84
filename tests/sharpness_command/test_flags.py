"""The command's flags, and its sentences on wrong ones."""

import os
import pathlib

import pytest

from tests.processes import ended
from tf_bdecay.sharpness_command import flags
from tf_bdecay.sharpness_command.run import main

ROOT = pathlib.Path(__file__).parents[2]


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
        (["--model=x", "--strategy=auto", "--devices=CPU:0"], "does not go with --strategy=auto"),
        (["--model=x", "stray"], "takes flags only, such as --model=FILE.keras. Received: stray"),
        (["--model=x", "--probes=１２"], "must be written in the digits 0 to 9. Received: '１２'"),
        (["--model=x", "--probes=" + "9" * 400], "--probes must be a whole number <= 10000000"),
        (["--model=x", "--notraining=true"], "cannot be read: --notraining=true"),
        (["--model=" + "x" * 4000], "is not there: name a workdir of tf_bdecay"),
        (["--model=gs://b/m.keras"], "--model must be a path on this machine"),
        (["--model=x", "--out=s3://b/m"], "--out must be a path on this machine"),
        (["--model=~/no/such"], f"--model={os.path.expanduser('~')}/no/such is not there"),
        (["--model=no/such"], "--model=no/such is not there"),
        (["--model=tests"], "a folder without config.json, so no workdir of tf_bdecay"),
        (["--model=README.md"], "is neither a model that Keras saved nor a checkpoint"),
    ],
)
def test_what_is_wrong_with_a_command_is_one_sentence(arguments, sentence, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert any(part in error for part in sentence.split("|")), error


def test_flags_are_refused_and_explained_without_tensorflow():
    for arguments, code in ((["--model=x", "--measures=trase"], 2), (["--help"], 0)):
        done = ended(["-m", "tf_bdecay.sharpness", *arguments], PYTHONPROFILEIMPORTTIME="1")
        assert done.returncode == code
        assert "absl.flags" in done.stderr and "tensorflow" not in done.stderr
    assert all(f"--{name} " in done.stdout for name in flags._NAMES)
