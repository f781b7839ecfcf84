"""Decisions from a probe batch, and measuring, with two replicas as with one device."""

import json
import os
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).with_name("mirrored_script.py")
ROOT = SCRIPT.parents[2]


def test_two_replicas_decide_and_measure_as_one_device():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=600, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["decisions equal"] and report["copies equal"]
    assert report["weights"] < 1e-10
    assert report["ratio"] < 1e-5  # of float32
    assert report["sharpness"] < 1e-10
