"""Strategies that this machine cannot run are refused; replicas draw the same dropout."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.processes import ended
from tf_bdecay.distribution import strategies
from tf_bdecay.errors import BadInput

DROPOUT_SCRIPT = pathlib.Path(__file__).with_name("dropout_script.py")


def test_none_is_no_strategy():
    assert strategies.make("none") is None
    assert strategies.replicas(None) == 1
    with strategies.scope(None):
        assert not tf.distribute.has_strategy()


def test_one_device_has_one_replica():
    made = strategies.make("one_device", "CPU:0")
    assert strategies.replicas(made) == 1
    with strategies.scope(made):
        assert tf.distribute.get_strategy() is made


@pytest.mark.parametrize(
    "arguments, said",
    [
        (dict(name="miror"), "did you mean 'mirrored'"),
        (dict(name="one_device", devices="CPU:7"), "did you mean 'CPU:0'"),
        (dict(name="one_device", devices="CPU:0,CPU:0"), "names a device twice"),
        (dict(name="none", devices="CPU:0"), "needs --strategy"),
        (dict(name="none", logical_devices=-1), "whole number > 0"),
        (dict(name="tpu"), "this machine has none"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(arguments, said, monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    with pytest.raises(BadInput, match=said):
        strategies.make(**arguments)


def test_mirroring_one_device_is_refused():
    if len(tf.config.list_logical_devices()) > 1:
        pytest.skip("this machine has several devices")
    with pytest.raises(BadInput, match="two devices or more.*--logical_devices=2"):
        strategies.make("mirrored")


@pytest.mark.parametrize("kind", [keras.Variable, tf.Variable])
def test_a_copy_of_a_variable_is_a_tensorflow_variable_with_its_value(kind):
    def assign(variable):
        copy = strategies.own_copy(variable)
        assert strategies.this_replica() == 0 and isinstance(copy, tf.Variable)
        copy.assign([3.0, 4.0])  # it is the variable, not its value

    for strategy in (tf.distribute.get_strategy(), strategies.make("one_device", "CPU:0")):
        with strategies.scope(strategy):
            variable = kind([1.0, 2.0])
        strategy.run(assign, args=(variable,))
        assert tf.convert_to_tensor(variable).numpy().tolist() == [3.0, 4.0]


def test_auto_takes_what_there_is(monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    gpus = len(tf.config.list_physical_devices("GPU"))
    assert strategies.choose()[0] == {0: "none", 1: "one_device"}.get(gpus, "mirrored")
    assert strategies.choose(tpu="there")[0] == "tpu"
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert strategies.choose() == ("multi_worker", "TF_CONFIG is set")


@pytest.mark.slow
def test_replicas_draw_dropout_alike_and_a_resumed_run_draws_on(tmp_path):
    command = [str(DROPOUT_SCRIPT), str(tmp_path / "checkpoint.npz")]
    done = ended(command)
    assert done.returncode == 0, done.stderr[-3000:]
    whole, micro = json.loads(done.stdout.splitlines()[-1])
    assert whole["seeds"] == [[1, 3]] * 2  # a draw an update
    assert micro["seeds"] == [[1, 6]] * 2  # one for each of the two micro-batches of a replica
    for found in (whole, micro):
        assert found["differ"] == [] and found["apart"] == []
        assert found["same masks"] and 0 < found["dropped"] < 1


def test_sums_of_other_replicas_go_to_the_first():
    values = np.arange(6.0).reshape(3, 2)
    same = strategies.shared_out(values, 3)
    np.testing.assert_array_equal(same, values)
    for replicas in (1, 2, 5):
        shares = strategies.shared_out(values, replicas)
        assert len(shares) == replicas
        np.testing.assert_array_equal(shares[0], [6.0, 9.0])
        assert not any(share.any() for share in shares[1:])
