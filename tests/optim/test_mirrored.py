"""Two replicas are one device with the same global batch, and their copies stay bitwise equal."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("mirrored_script.py")
ROOT = SCRIPT.parents[2]


def run(**arguments):
    defaults = {
        "poison": False,
        "wrapped": None,
        "clip": 0,
        "compile_update": True,
        "outside": False,
    }
    command = [sys.executable, str(SCRIPT), json.dumps({**defaults, **arguments})]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=_environment(), check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def _environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"clip": 0.05},
        pytest.param({"compile_update": False}, marks=pytest.mark.slow),
        pytest.param({"wrapped": "keras"}, marks=pytest.mark.slow),
        pytest.param({"wrapped": "ours"}, marks=pytest.mark.slow),
    ],
    ids=["compiled and clipped", "plain", "in Keras' LossScaleOptimizer", "in ours"],
)
def test_two_replicas_equal_one_device(arguments):
    result = run(**arguments)
    assert result["change"] < 1e-4
    assert result["decisions_equal"]
    assert result["seen"] == ["False", "True"]  # decay switched: deciding was put to the test
    assert result["margin"] > 1e-3
    assert result["losses"] < 1e-5
    assert result["apart"] == 0


@pytest.mark.parametrize(
    "wrapped",
    [
        pytest.param(None, marks=pytest.mark.slow),
        "ours",
        pytest.param("keras", marks=pytest.mark.slow),
    ],
)
def test_a_nan_on_one_replica_is_skipped_by_both(wrapped):
    result = run(poison=True, wrapped=wrapped)
    assert result["finite"]
    assert result["apart"] == 0
    assert result["skipped"][1] == 3
    if wrapped != "keras":  # which skips and counts by replica 0's gradients alone
        assert result["skipped"][0] == 3
        assert result["change"] < 1e-4


def test_an_optimizer_built_out_of_scope_is_refused():
    assert "outside the scope of the strategy" in run(outside=True)["error"]
