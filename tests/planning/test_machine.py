"""Flags that give the number of devices and the properties of one."""

import math

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.planning import machine


@pytest.mark.parametrize(
    "text, counts",
    [
        ("8", [8]),
        ("1", [1]),
        ("1,8,64", [1, 8, 64]),
        ("64,8,8,1", [1, 8, 64]),
        ("1..8", [1, 2, 4, 8]),
        ("1..4096", [2**i for i in range(13)]),
        ("1..9", [1, 2, 4, 8]),
        ("3..13", [3, 6, 12]),
        ("5..5", [5]),
    ],
)
def test_device_counts(text, counts):
    assert machine.parse_devices(text) == counts


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "1.5", "1,", "0..8", "8..1", "1...8", "1..", "GPU:0", "a", "1,0", "1e3", "²",
     "1" * 10, " 8"],
)  # fmt: skip
def test_other_device_counts_are_refused_in_a_sentence(text):
    with pytest.raises(BadInput, match="--devices of plan mode must be counts of devices") as error:
        machine.parse_devices(text)
    assert str(error.value).endswith(f"Received: {text!r}")


@pytest.mark.parametrize("name", ["memory_gb", "bandwidth_gbps", "flops"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, True, "16"])
def test_a_property_of_hardware_is_a_number_above_zero(name, value):
    with pytest.raises(BadInput, match=f"--{name} must be a number > 0. Received: "):
        machine.check_hardware(**{name: value})


def test_hardware_is_in_bytes_and_what_is_not_known_stays_so():
    found = machine.check_hardware(16, 2.5, 1e12)
    assert found == machine.Hardware(memory=16e9, bandwidth=2.5e9, flops=1e12)
    assert machine.check_hardware() == machine.Hardware(None, None, None)
