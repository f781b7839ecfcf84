"""Strategies that this machine cannot do are refused."""

import pytest
import tensorflow as tf

from tf_bdecay.distribution import strategies
from tf_bdecay.errors import BadInput


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


def test_auto_takes_what_there_is(monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    gpus = len(tf.config.list_physical_devices("GPU"))
    assert strategies.choose()[0] == {0: "none", 1: "one_device"}.get(gpus, "mirrored")
    assert strategies.choose(tpu="there")[0] == "tpu"
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert strategies.choose() == ("multi_worker", "TF_CONFIG is set")
