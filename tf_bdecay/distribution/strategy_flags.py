"""Flags that say where a command computes, and their checks. Needs no TensorFlow."""

from tf_bdecay.distribution.cluster import STRATEGIES
from tf_bdecay.errors import require, unknown
from tf_bdecay.terminal.flag_reading import Flag

_FINDS_ITS_OWN = ("multi_worker", "tpu", "auto")
_MOST = 1024


def table(strategies=STRATEGIES, devices="such as GPU:0,GPU:1; all by default"):
    """The `Flag`s.

    Args:
        strategies: names of those that the command can use.
        devices: help text of --devices.
    """
    return (
        Flag(str, "strategy", "none", ", ".join(strategies) + " (tpu is untried)"),
        Flag(str, "devices", "", devices),
        Flag(int, "logical_devices", 0, "cut the CPU into this many, to try mirrored"),
    )


def check(values, strategies=STRATEGIES):
    """Checks the flags against each other; `strategies.make` checks them against the machine.

    Args:
        values: an object with the flags as attributes.
        strategies: as for `table`.

    Raises:
        BadInput: the strategy is unknown, or a flag does not go with it.
    """
    strategy, devices, cut = values.strategy, values.devices, values.logical_devices
    if strategy not in strategies:
        raise unknown("strategy", strategy, strategies)
    require(
        0 <= cut <= _MOST,
        f"--logical_devices must be a whole number in [0, {_MOST}]. Received: {cut}",
    )
    require(
        not cut or strategy != "none",
        f"--logical_devices={cut} has no effect without a strategy: add --strategy=mirrored.",
    )
    require(
        not cut or strategy not in _FINDS_ITS_OWN,
        f"--logical_devices={cut} is for --strategy=mirrored and does not go with --strategy="
        f"{strategy}: a worker's CPU is one device.",
    )
    require(
        not devices or strategy not in _FINDS_ITS_OWN,
        f"--devices={devices} does not go with --strategy={strategy}, which takes all that it "
        "finds: leave one of them out.",
    )
