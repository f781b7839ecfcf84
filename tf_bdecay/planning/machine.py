"""What plan mode is told on the command line: how many devices, and what each can do."""

import dataclasses
import math
import numbers
import re

from tf_bdecay.errors import BadInput, require

DEFAULT_DEVICES = "1..4096"
GIGA = 10**9


@dataclasses.dataclass(frozen=True)
class Hardware:
    """One device, as given on the command line; None for what was not given.

    Attributes:
        memory: bytes.
        bandwidth: bytes per second that a device sends while all of them do.
        flops: operations per second that it achieves, not its peak.
    """

    memory: float | None = None
    bandwidth: float | None = None
    flops: float | None = None


def parse_devices(text):
    """The device counts of --devices in plan mode, ascending, each once.

    Args:
        text: "8", "1,8,64", or "1..4096" for 1, 2, 4, ..., 4096 (doubling from the first number
            up to at most the last).

    Returns:
        List of ints >= 1.

    Raises:
        BadInput: anything else.
    """
    span = re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", text)
    if span and 1 <= int(span[1]) <= int(span[2]):
        first, last = int(span[1]), int(span[2])
        return [first * 2**i for i in range((last // first).bit_length())]
    if re.fullmatch(r"\d{1,9}(,\d{1,9})*", text):
        counts = sorted(set(map(int, text.split(","))))
        if counts[0] >= 1:
            return counts
    raise BadInput(
        "--devices of plan mode must be counts of devices: 8, a list such as 1,8,64, or a range "
        f"such as {DEFAULT_DEVICES}, which doubles from its first number. Received: {text!r}"
    )


def check_hardware(memory_gb=None, bandwidth_gbps=None, flops=None):
    """The `Hardware` of three flags.

    Args:
        memory_gb: of a device, in 10^9 bytes; like the others, None if unknown.
        bandwidth_gbps: of a device, in 10^9 bytes per second.
        flops: operations per second that a device achieves.

    Raises:
        BadInput: a value is not a number > 0.
    """
    for name, value in (
        ("memory_gb", memory_gb),
        ("bandwidth_gbps", bandwidth_gbps),
        ("flops", flops),
    ):
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        require(
            value is None or (number and 0 < value < math.inf),
            f"--{name} must be a number > 0. Received: {value!r}",
        )
    return Hardware(
        memory=None if memory_gb is None else memory_gb * GIGA,
        bandwidth=None if bandwidth_gbps is None else bandwidth_gbps * GIGA,
        flops=flops,
    )
