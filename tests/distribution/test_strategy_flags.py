"""Flags that are refused before TensorFlow starts."""

import types

import pytest

from tf_bdecay.distribution import strategy_flags
from tf_bdecay.errors import BadInput


def check(strategies=("none", "one_device", "mirrored", "tpu", "auto"), **given):
    values = {flag.name: flag.default for flag in strategy_flags.table()}
    strategy_flags.check(types.SimpleNamespace(**values | given), strategies)


@pytest.mark.parametrize(
    "given, said",
    [
        ({"strategy": "miror"}, "did you mean 'mirrored'?"),
        ({"strategy": "multi_worker"}, "multi_worker"),  # of a command that lacks it
        ({"strategy": "mirrored", "logical_devices": -1}, "in [0, 1024]. Received: -1"),
        ({"strategy": "mirrored", "logical_devices": 1025}, "in [0, 1024]. Received: 1025"),
        ({"logical_devices": 2}, "has no effect without a strategy"),
        ({"strategy": "auto", "logical_devices": 2}, "does not go with --strategy=auto"),
        ({"strategy": "tpu", "devices": "TPU:0"}, "--devices=TPU:0 does not go with"),
    ],
)
def test_flags_that_a_strategy_does_not_have_are_refused(given, said):
    with pytest.raises(BadInput) as caught:
        check(**given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"strategy": "auto"},
        {"strategy": "one_device", "devices": "GPU:1"},
        {"strategy": "mirrored", "logical_devices": 1024},
    ],
)
def test_what_goes_together_passes(given):
    check(**given)


def test_the_help_names_what_the_command_can_do():
    strategy, devices, _ = strategy_flags.table(("none", "mirrored"), "which")
    assert strategy.doc.startswith("none, mirrored ") and devices.doc == "which"
