"""Ghost batches larger than a replica's share equal those of one device, on 4 logical CPUs."""

import json

import numpy as np
import numpy_reference
import pytest
import tensorflow as tf

from tests.layers import neighbours_script as script
from tests.processes import ended


@pytest.fixture(scope="module")
def found():
    done = ended(["-m", "tests.layers.neighbours_script"])
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", script.CASES)
def test_replicas_normalize_as_one_device(found, name):
    ghost, axis, arguments, dtype, batch = script.CASES[name]
    x = np.asarray(tf.cast(script.inputs(axis, batch), dtype), "float64")
    gamma = np.array(script.GAMMA) if arguments.get("scale", True) else np.ones(2)
    beta = np.array(script.BETA) if arguments.get("center", True) else np.zeros(2)
    y, mean, variance = numpy_reference.forward(x, gamma, beta, ghost, axis, 1e-5)
    dx, dgamma, dbeta = numpy_reference.backward(x, gamma, np.cos(y), ghost, axis, 1e-5)
    here, close = found[name], {"float64": 1e-9, "float32": 1e-4, "bfloat16": 0.05}[dtype]
    np.testing.assert_allclose(here["y"], y, rtol=close, atol=close)
    np.testing.assert_allclose(here["dx"], dx, rtol=close, atol=close)
    if arguments.get("scale", True):
        np.testing.assert_allclose(here["parameters"], [dgamma, dbeta], rtol=close, atol=8 * close)
    for copies, wanted in zip(here["moving"], (mean, variance), strict=True):
        assert all(copy == copies[0] for copy in copies)
        np.testing.assert_allclose(copies[0], wanted, rtol=max(close, 1e-6))


@pytest.mark.parametrize("name", ["a ghost batch of two replicas", "a ghost batch of all replicas"])
def test_second_derivatives_are_those_of_one_device(found, name):
    """By differences of the reference's gradients: d/dx of the sum of squares of dL/dx."""
    ghost, axis, _, _, batch = script.CASES[name]
    x, gamma = script.inputs(axis, batch), np.array(script.GAMMA)

    def gradient(x):
        y, *_ = numpy_reference.forward(x, gamma, script.BETA, ghost, axis, 1e-5)
        return numpy_reference.backward(x, gamma, np.cos(y), ghost, axis, 1e-5)[0]

    first, step = gradient(x), 1e-5
    wanted = (gradient(x + step * first) - gradient(x - step * first)) / step  # 2 H g
    assert np.abs(wanted).max() > 1e-2
    np.testing.assert_allclose(found[name]["second"], wanted, rtol=1e-4, atol=1e-7)


def test_a_fit_on_four_replicas_is_that_of_one_device(found):
    one, four = found["one device"], found["four replicas"]
    for start, single, several in zip(one["start"], one["end"], four["end"], strict=True):
        change = np.subtract(single, start)
        assert np.abs(change).max() > 1e-3
        np.testing.assert_allclose(np.subtract(several, start), change, rtol=1e-3, atol=2e-5)


def test_precise_statistics_are_those_of_one_device(found):
    one, four = found["one device"]["precise"], found["four replicas"]["precise"]
    assert len(one) == 4
    for single, several in zip(one, four, strict=True):
        np.testing.assert_allclose(several, single, rtol=1e-3)


def test_the_noise_scale_is_refused(found):
    assert "neighbours share ghost batches: use ghost batches of at most 4" in found["noise"]


@pytest.mark.parametrize("name", [*script.REFUSED, "outside"])
def test_what_no_neighbours_hold_together_is_refused(found, name):
    assert "ghost_batch_size=" in found[name] and "must divide" in found[name]
