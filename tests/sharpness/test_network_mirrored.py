"""Every measure gives the same figures from 1, 2 and 4 replicas."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.sharpness import replicas_script

SCRIPT = pathlib.Path(__file__).with_name("replicas_script.py")
ROOT = SCRIPT.parents[2]


def measured(replicas):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(replicas)],
        capture_output=True,
        text=True,
        timeout=900,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("replicas", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_replicas_share_the_examples_and_change_nothing(replicas):
    one, several = replicas_script.figures(1), measured(replicas)
    assert several.keys() == one.keys()
    for name, figures in one.items():
        expected, found = (np.array(f, "float64") for f in (figures, several[name]))
        scale = np.nanmax(np.abs(expected))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * scale, err_msg=name)
