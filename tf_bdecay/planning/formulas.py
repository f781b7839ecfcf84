"""Plan mode's formulas: what an update costs on n devices, on paper. Nothing is executed.

With B images per global batch, g per ghost batch and m per micro-batch; K micro-batches per update
of a device; W, G, M bytes of weights, gradients, moments; per image A bytes of activations and F
operations of the forward pass; p passes over a batch, 2 with SAM and ASAM (which keep epsilon and
theta + epsilon), else 1; f FLOP/s and s bytes/s of each device:

    B = n m K              m a multiple of g, the largest whose memory fits
    memory                 W + G + M + (G if K > 1) + (2 G if p > 1) + m A
    all-reduce             2 (n - 1) / n p G    bytes that a device sends per update, in a ring
    compute                3 p F (B / n) / f    a backward pass is two forward passes
    update                 compute + all-reduce / s                   the two do not overlap
    run                    T update             T updates, whatever n is
    speed-up               update(1) / update(n), and efficiency = speed-up / n

The global batch is the config's at every n (strong scaling), so updates, warm-up and peak rate,
eta_peak sqrt(batch / base batch), are the same in every row. More devices change the time, never
what is trained. Scaling ends at the first n where 2 n devices would be less than `LEAST_GAIN` times
as fast as n.
"""

import dataclasses

from tf_bdecay.batches import check_cut, divisors
from tf_bdecay.errors import BadInput
from tf_bdecay.planning.machine import GIGA
from tf_bdecay.training.config.checks import CUT_NAMES

FORWARD_PASSES = 3  # one forward pass, and a backward pass that costs two
LEAST_GAIN = 1.25  # of doubling the devices


@dataclasses.dataclass(frozen=True)
class Task:
    """What is trained: the same on any number of devices.

    Attributes:
        batch: images of one update, B.
        ghost: images that a micro-batch must be a multiple of, g; 1 for any.
        updates: of the whole run, T.
        warmup_updates: during which the rate rises.
        peak: the largest rate.
        micro_batch: images per micro-batch if the config sets them, else None.
        passes: over a batch in an update, p.
    """

    batch: int
    ghost: int
    updates: int
    warmup_updates: int
    peak: float
    micro_batch: int | None = None
    passes: int = 1


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device during an update."""

    weights: int
    gradients: int
    accumulated: int
    moments: int
    activations: int
    steps: int = 0

    @property
    def total(self):
        """The sum: at the start of a backward pass all of them are there together."""
        return sum(dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True)
class Row:
    """An update on n devices; None for what is not known.

    Attributes:
        devices: n.
        reason: why n devices cannot do the update; all below are None then.
        replica_batch, micro_batch, micro_batches: B / n, m and K.
        updates, warmup_updates, peak: of the `Task`.
        memory: a `Memory`.
        all_reduce_bytes: sent by each device per update.
        compute_s, all_reduce_s, update_s, run_s: seconds.
        speed_up: over one device.
        efficiency: speed-up / n.
    """

    devices: int
    reason: str | None = None
    replica_batch: int | None = None
    micro_batch: int | None = None
    micro_batches: int | None = None
    updates: int | None = None
    warmup_updates: int | None = None
    peak: float | None = None
    memory: Memory | None = None
    all_reduce_bytes: float | None = None
    compute_s: float | None = None
    all_reduce_s: float | None = None
    update_s: float | None = None
    run_s: float | None = None
    speed_up: float | None = None
    efficiency: float | None = None


def memory(costs, micro_batch, micro_batches, passes=1):
    """W + G + M + (G if K > 1) + (2 G if p > 1) + m A.

    Args:
        costs: `costs.Costs`.
        micro_batch: m.
        micro_batches: K; if K > 1, the sum of their gradients is kept besides the newest one.
        passes: p; the second pass is at a step away from the weights.

    Returns:
        A `Memory`.
    """
    return Memory(
        weights=costs.weight_bytes,
        gradients=costs.gradient_bytes,
        accumulated=costs.gradient_bytes if micro_batches > 1 else 0,
        moments=costs.moment_bytes,
        activations=micro_batch * costs.kept_bytes,
        steps=2 * costs.gradient_bytes if passes > 1 else 0,
    )


def cut(task, costs, devices, limit=None):
    """How n devices share the batch: n m K = B, ghost batches whole, m as large as memory allows.

    Args:
        task: `Task`. Where it sets a micro-batch, only that one is tried.
        costs: `costs.Costs`.
        devices: n.
        limit: bytes of memory of a device; None for no limit, which gives K = 1.

    Returns:
        (m, K).

    Raises:
        BadInput: the batch cannot be cut like this, or no micro-batch fits in the memory.
    """
    share = check_cut(task.batch, devices, task.micro_batch, task.ghost, CUT_NAMES)
    # A share below a ghost batch, which neighbours then hold together, cannot be cut further.
    most = max(share // task.ghost, 1)
    parts = [share // task.micro_batch] if task.micro_batch else divisors(most)
    needs = {k: memory(costs, share // k, k, task.passes).total for k in parts}
    for k, need in needs.items():
        if limit is None or need <= limit:
            return share // k, k
    k = min(needs, key=needs.get)
    raise BadInput(
        f"A micro-batch of {share // k} needs {needs[k] / GIGA:.3g} GB and a device has "
        f"{limit / GIGA:.3g} GB."
    )


def all_reduce_bytes(gradient_bytes, devices):
    """2 (n - 1) / n G: what each of n devices in a ring sends to sum their gradients."""
    return 2 * (devices - 1) / devices * gradient_bytes


def compute_seconds(flops, replica_batch, speed):
    """3 F (B / n) / f: forward and backward passes of a device's share of the batch."""
    return FORWARD_PASSES * flops * replica_batch / speed


def update_seconds(task, costs, devices, hardware):
    """Compute and all-reduce of an update, one after the other; None if either is unknown.

    It is defined for any n, even if the batch cannot be cut for it.
    """
    if hardware.flops is None or (hardware.bandwidth is None and devices > 1):
        return None
    flops, reduced = task.passes * costs.flops, task.passes * costs.gradient_bytes
    compute = compute_seconds(flops, task.batch / devices, hardware.flops)
    if devices == 1:
        return compute
    return compute + all_reduce_bytes(reduced, devices) / hardware.bandwidth


def row(task, costs, devices, hardware):
    """The `Row` of n devices.

    Args:
        task: `Task`.
        costs: `costs.Costs`.
        devices: n.
        hardware: a `machine.Hardware`.

    Returns:
        A `Row`; if n devices cannot do the update, its `reason` says why.
    """
    try:
        micro_batch, micro_batches = cut(task, costs, devices, hardware.memory)
    except BadInput as error:
        return Row(devices, reason=str(error))
    sent = all_reduce_bytes(task.passes * costs.gradient_bytes, devices)
    flops = task.passes * costs.flops
    share = micro_batch * micro_batches
    update = update_seconds(task, costs, devices, hardware)
    speed_up = None if update is None else update_seconds(task, costs, 1, hardware) / update
    return Row(
        devices=devices,
        replica_batch=share,
        micro_batch=micro_batch,
        micro_batches=micro_batches,
        updates=task.updates,
        warmup_updates=task.warmup_updates,
        peak=task.peak,
        memory=memory(costs, micro_batch, micro_batches, task.passes),
        all_reduce_bytes=sent,
        compute_s=hardware.flops and compute_seconds(flops, share, hardware.flops),
        all_reduce_s=hardware.bandwidth and sent / hardware.bandwidth,
        update_s=update,
        run_s=None if update is None else task.updates * update,
        speed_up=speed_up,
        efficiency=None if speed_up is None else speed_up / devices,
    )


def doubling_gain(task, costs, devices, hardware):
    """How many times as fast an update is on 2 n devices as on n; None if unknown."""
    twice = update_seconds(task, costs, 2 * devices, hardware)
    return twice and update_seconds(task, costs, devices, hardware) / twice


def stops_at(task, costs, rows, hardware):
    """The first feasible n at which doubling gains less than `LEAST_GAIN`, or None."""
    for found in rows:
        gain = doubling_gain(task, costs, found.devices, hardware)
        if found.reason is None and gain is not None and gain < LEAST_GAIN:
            return found.devices
    return None
