"""Workarounds for TensorFlow's faults do what they say, and restore what they change."""

import itertools
import os
import threading
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.processes import ended
from tf_bdecay.frameworks import quirks
from tf_bdecay.frameworks.quirks import twice_differentiable_moments


def test_it_is_imported_without_tensorflow_and_keras():
    code = "import sys, tf_bdecay.frameworks.quirks\n"
    code += "print({'tensorflow', 'keras'} & sys.modules.keys())"
    done = ended(["-c", code])
    assert done.stdout.strip() == "set()", done.stderr


def test_stderr_is_silent_within_and_heard_again(capfd):
    with pytest.raises(RuntimeError), quirks.silent_stderr():
        os.write(2, b"a notice")
        raise RuntimeError
    os.write(2, b"an error")
    assert capfd.readouterr().err == "an error"


def test_the_loggers_level_is_put_back():
    before = tf.get_logger().level
    with quirks.silent_tracing():
        assert tf.get_logger().level == 40
        with quirks.silent_tracing("CRITICAL"):
            assert tf.get_logger().level == 50
        assert tf.get_logger().level == 40
    assert tf.get_logger().level == before


@pytest.mark.parametrize(
    "channels, kernel_size, strides, overruns",
    [
        (8, (1, 1), (2, 2), True),
        (24, (1, 1), (1, 2), True),
        (None, (1, 1), (2, 2), True),
        (16, (1, 1), (2, 2), False),
        (64, (1, 1), (2, 2), False),
        (8, (3, 3), (2, 2), False),
        (8, (1, 1), (1, 1), False),
    ],
)
def test_convolutions_that_onednn_gets_wrong(channels, kernel_size, strides, overruns):
    assert quirks.onednn_overruns(channels, kernel_size, strides) == overruns


def test_onednn_is_left_out_unless_the_environment_says_otherwise(monkeypatch):
    for said, then in ((None, "0"), ("1", "1")):
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
        if said:
            monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", said)
        quirks.avoid_onednn()
        assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == then


@pytest.mark.parametrize(
    "overruns, said, then",
    [(True, None, "0"), (False, None, "1"), (True, "1", "1"), (False, "0", "0")],
)
def test_onednn_is_used_where_it_does_no_harm(monkeypatch, overruns, said, then):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if said:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", said)
    quirks.settle_onednn(overruns)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == then


def test_a_graph_tells_whether_xla_compiles_it():
    seen = []

    @tf.function(jit_compile=True)
    def compiled(x):
        seen.append(quirks.in_xla())
        return x + 1

    @tf.function
    def plain(x):
        seen.append(quirks.in_xla())
        return x + 1

    compiled(tf.constant(1.0))
    plain(tf.constant(1.0))
    assert seen == [True, False]


def test_autograph_leaves_a_function_as_it_is_written():
    def branch(x):
        return x if x > 0 else -x  # which AutoGraph alone can trace

    assert quirks.as_written(branch)(-3) == 3
    assert tf.function(branch)(tf.constant(-3)) == 3
    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        tf.function(quirks.as_written(branch))(tf.constant(-3))


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_moments_are_tensorflows(dtype, keepdims):
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 3, 5)), dtype)
    expected = tf.nn.moments(x, [0, -1], keepdims=keepdims)
    with twice_differentiable_moments():
        found = tf.nn.moments(x, [0, -1], keepdims=keepdims)
    for a, b in zip(expected, found, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-3 if dtype == "float16" else 1e-6, atol=1e-7)


def test_tensorflows_own_are_put_back_after_the_last_of_several_threads():
    original, first_is_in, second_is_out = tf.nn.moments, threading.Event(), threading.Event()
    seen = []

    def first():
        with twice_differentiable_moments():
            first_is_in.set()
            assert second_is_out.wait(60)
            seen.append(tf.nn.moments)

    thread = threading.Thread(target=first)
    thread.start()
    assert first_is_in.wait(60)
    with pytest.raises(RuntimeError), twice_differentiable_moments():
        raise RuntimeError
    second_is_out.set()
    thread.join()
    assert seen != [original] and tf.nn.moments is original


@pytest.mark.parametrize(
    "devices, one_by_one",
    [(["CPU:0"], False), (["GPU:0", "GPU:1"], False), (["CPU:0", "CPU:1"], True)],
)
def test_several_steps_are_taken_one_by_one_on_several_cpus(devices, one_by_one):
    devices = [f"/job:localhost/replica:0/task:0/device:{device}" for device in devices]
    strategy = types.SimpleNamespace(
        num_replicas_in_sync=len(devices), extended=types.SimpleNamespace(worker_devices=devices)
    )
    batches = iter([1, 2, 3])
    given = []

    def two_steps(iterator):
        given.append(iterator)
        return list(itertools.islice(iterator, 2))

    function = quirks.several_steps(two_steps, strategy)
    assert function(batches) == [1, 2] and (given[0] is not batches) == one_by_one
    assert function(batches) == [3]
    assert quirks.several_steps(two_steps, tf.distribute.get_strategy()) is two_steps
    if one_by_one:
        with pytest.raises(StopIteration):  # which ends an epoch of Keras
            function(batches)
