"""Dropout on two replicas: one mask for both, and a resumed run to the same bits."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("dropout_script.py")
ROOT = SCRIPT.parents[2]


@pytest.mark.slow
def test_replicas_draw_alike_and_a_resumed_run_draws_on(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, str(SCRIPT), str(tmp_path / "checkpoint.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    whole, micro = json.loads(done.stdout.splitlines()[-1])
    assert whole["seeds"] == [[1, 3]] * 2  # a draw an update
    assert micro["seeds"] == [[1, 6]] * 2  # one for each of the two micro-batches of a replica
    for found in (whole, micro):
        assert found["differ"] == [] and found["apart"] == []
        assert found["same masks"] and 0 < found["dropped"] < 1
