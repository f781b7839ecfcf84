"""Runs with every pair of values of a command line: exit code 0 and a finite result, or 2."""

import json
import math
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from ml_collections import ConfigDict

from main import main
from tests import pairs
from tests.data import sets
from tests.training import small
from tf_bdecay.training.building import parts
from tf_bdecay.training.config import dotted

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROWS = pairs.cover()
REFUSED = pairs.refused_rows()


def _name(row):
    """The values of a row, without those that are the first of their factor."""
    said = [v for factor, v in row.items() if v != pairs.FACTORS[factor][0]]
    return "-".join(said) or "default"


def _cheap(row):
    """Whether a row is for `make test` too: on the process' own devices, nothing compiled whole."""
    apart = row["strategy"] in ("mirrored", "multi_worker") or row["execution"] == "jit_compile"
    return row["data"] == "digits" and not apart


def _measured():
    """Of the rows, few that have every value of what a measurement sees."""
    seen = ("variant", "strategy", "data", "precision", "model", "normalization", "optimizer")
    missing = {(factor, value) for factor in seen for value in pairs.FACTORS[factor]}
    chosen = []
    while missing:
        row = max(ROWS, key=lambda row: len(missing & set(row.items())))
        chosen.append(row)
        missing -= set(row.items())
    return chosen


CHEAP = [row for row in ROWS if _cheap(row)][:3]
MEASURED = _measured()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with CIFAR-10 and CIFAR-100, of noise."""
    folder = tmp_path_factory.mktemp("sets")
    sets.prepare_cifar10(folder)
    sets.prepare_cifar100(folder)
    return folder


def run(arguments, strategy):
    """Runs main.py in processes of its own, and returns the exit code and all that was said."""
    program = ["main.py", f"--strategy={strategy}"]
    if strategy == "multi_worker":
        program = ["tools/launch.py", "--workers=2", "--"]
    if strategy == "mirrored":
        program.append("--logical_devices=2")
    return _said([*program, *arguments])


def _said(command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    return done.returncode, done.stdout


def numbers(value):
    """All numbers of nested lists and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, (int, float)) else []


def check_result(workdir, row):
    """The result is there, finite, of what was asked, and of weights that have moved."""
    result = json.loads((workdir / "result.json").read_text())
    found = numbers(result)
    assert {"test_loss", "test_accuracy"} <= result.keys()
    assert ("test_loss_average" in result) == (row["average"] == "average")
    assert all(map(math.isfinite, found)), result
    config = json.loads((workdir / "config.json").read_text())
    assert config["precision"] == row["precision"] and config["data.name"] == row["data"]
    assert config["optimizer.name"] == row["optimizer"]
    assert result["updates"] + result["skipped_updates"] == pairs.UPDATES
    if row["precision"] != "mixed_float16":  # whose loss scale is found by overflow
        assert result["skipped_updates"] == 0
    check_weights(workdir, config, result, row)


def check_weights(workdir, config, result, row):
    """Kernels have moved from where the seed puts them, and frozen variables have not."""
    trained = keras.models.load_model(workdir / "model.keras", compile=False)
    keras.utils.set_random_seed(config["seed"])
    classes, shape = trained.output.shape[-1], trained.input.shape[1:]
    initial = parts.make_model(ConfigDict(dotted.nested(config)), classes, shape)
    still = {"beta_frozen": ("beta",), "bn_frozen": ("beta", "gamma")}.get(row["variant"], ())
    for before, after in zip(initial.variables, trained.variables, strict=True):
        moved = np.any(before.numpy() != after.numpy())
        if after.name == "kernel":
            assert moved == (result["learning_rate_sum"] > 0), after.path
        elif after.name in still:
            assert not moved, after.path


def test_every_pair_occurs_or_is_refused():
    found = set().union(*map(pairs.pairs, ROWS))
    values = {v: factor for factor, values in pairs.FACTORS.items() for v in values}
    assert len(values) == sum(map(len, pairs.FACTORS.values()))  # a value names its factor
    everything = {
        tuple(sorted(((values[one], one), (values[other], other))))
        for one in values
        for other in values
        if values[one] != values[other]
    }
    without = everything - found
    assert without == {pair for pair in everything if pairs.refused(pair)}
    assert {frozenset(v for _, v in pair) for pair in without} == set(map(frozenset, pairs.REFUSED))


def test_the_cover_is_small_and_the_same_each_time():
    assert pairs.cover() == ROWS
    assert 24 <= len(ROWS) <= 36
    assert all(row.keys() == pairs.FACTORS.keys() for row in ROWS)
    assert len(CHEAP) == 3 and len(MEASURED) >= 6


@pytest.mark.parametrize("row", CHEAP, ids=_name)
@pytest.mark.quick_rows(1)
def test_the_cheapest(row, tmp_path, monkeypatch):
    if row is CHEAP[0]:  # the quick one
        monkeypatch.setattr(parts, "make_model", lambda *_: small.network())
    arguments = pairs.command(row, None, tmp_path / "run")
    assert main([f"--strategy={row['strategy']}", *arguments]) == 0
    check_result(tmp_path / "run", row)


@pytest.mark.slow
@pytest.mark.parametrize(
    "row", [row for row in ROWS if row not in CHEAP or row in MEASURED], ids=_name
)
def test_a_row(row, prepared, tmp_path):
    code, said = run(pairs.command(row, prepared, tmp_path / "run"), row["strategy"])
    assert code == 0, said[-3000:]
    assert "Traceback" not in said
    check_result(tmp_path / "run", row)
    if row in MEASURED:
        check_sharpness(tmp_path, row, prepared)


def check_sharpness(folder, row, prepared):
    """The sharpness of what was trained, on replicas where it was trained on some."""
    flags = [
        f"--model={folder / 'run'}",
        f"--out={folder / 'sharpness'}",
        "--measures=C,C_m,trace,fisher_rao",
    ]
    flags += ["--examples=40", "--batch_size=20", "--probes=2"]
    if row["data"] != "digits":
        flags.append(f"--data_dir={prepared}")
    if row["strategy"] in ("one_device", "mirrored"):
        flags.append(f"--strategy={row['strategy']}")
    if row["strategy"] == "mirrored":
        flags.append("--logical_devices=2")
    code, said = _said(["-m", "tf_bdecay.sharpness", *flags])
    assert code == 0, said[-3000:]
    assert "Traceback" not in said
    measures = json.loads((folder / "sharpness" / "result.json").read_text())["measures"]
    assert len(measures) == 4
    assert all(map(math.isfinite, numbers(measures)))


def _refused(needs_processes):
    for row, sentence in zip(REFUSED, pairs.REFUSED.values(), strict=True):
        if (row["strategy"] in ("mirrored", "multi_worker")) == needs_processes:
            yield pytest.param(row, sentence, id=_name(row))


@pytest.mark.parametrize("row, sentence", list(_refused(needs_processes=False)))
def test_what_is_refused(row, sentence, tmp_path, capsys):
    arguments = pairs.command(row, None, tmp_path / "run")
    assert main([f"--strategy={row['strategy']}", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("row, sentence", list(_refused(needs_processes=True)))
def test_what_is_refused_where_there_are_replicas(row, sentence, tmp_path):
    code, said = run(pairs.command(row, None, tmp_path / "run"), row["strategy"])
    assert code == 2, said[-3000:]
    assert sentence in said and "Traceback" not in said
    assert not (tmp_path / "run").exists()
