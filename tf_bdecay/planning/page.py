"""Plan mode's page: `formulas` for a config, as a table by number of devices."""

import dataclasses

from rich import box
from rich.console import Group
from rich.table import Table

from tf_bdecay.batches import divisors
from tf_bdecay.data import catalog
from tf_bdecay.errors import BadInput, require
from tf_bdecay.planning import costs, formulas, worth
from tf_bdecay.training.building import datasets, parts
from tf_bdecay.training.config.checks import ghost_batch_size
from tf_bdecay.training.config.dotted import flatten

MEGA = 10**6

_IMAGENET = 1_281_167, 1000  # stands for pictures without a source


@dataclasses.dataclass(frozen=True)
class Sizes:
    """As much of an `ImageSet` as planning needs.

    Attributes:
        name: of the set.
        train: the range of its training images.
        image_shape: (height, width, channels).
        num_classes: of its labels.
        validation: not None if there is such a split.
    """

    name: str
    train: range
    image_shape: tuple
    num_classes: int
    validation: object = None


def plan(config, counts, hardware, noise=None):
    """The plan of a config on paper: nothing is trained and no data are read.

    Args:
        config: a ConfigDict that passed `checks.check`.
        counts: numbers of devices, from `machine.parse_devices`.
        hardware: a `machine.Hardware`.
        noise: a `worth.Noise`, None for none.

    Returns:
        (page, rows): what rich prints in 160 columns, and the list of `formulas.Row`.

    Raises:
        BadInput: the config does not fit its data set, whatever the number of devices.
    """
    images = sizes_of(config)
    size = parts.run_size(config, images)
    model = parts.make_model(config, images.num_classes, images.image_shape)
    schedule = parts.make_schedule(config, size)
    averages = config.ema.momentum is not None  # as wide as a moment
    needs = costs.count(model, len(parts.make_optimizer(config, schedule).slots) + averages)
    task = formulas.Task(
        batch=config.batch_size,
        ghost=ghost_batch_size(flatten(config)),
        updates=size.total_updates,
        warmup_updates=schedule.warmup_updates,
        peak=size.peak,
        micro_batch=config.get("micro_batch_size") or None,
        passes=1 if config.sharpness_aware.kind == "none" else 2,
    )
    rows = [_row(config, images, task, needs, n, hardware) for n in counts]
    refused = [_refused(row) for row in rows if row.reason]
    page = Group(
        *_head(config, images, size, task, needs),
        _table(rows, hardware),
        *(["No plan for:", *refused, ""] if refused else []),
        _verdict(task, needs, rows, hardware),
        "",
        "Memory of a device by micro-batch, whatever the number of devices:",
        _by_micro_batch(task, needs, hardware),
        *_caption(config, task, hardware),
        *(worth.page(config, noise) if noise else []),
    )
    return page, rows


def sizes_of(config):
    """The `Sizes` of a config's data set, without the images set aside for validation.

    Raises:
        BadInput: the config asks for more images than there are, or for a downsampling that does
            not divide their side.
    """
    if config.data.name == "pictures":
        return _sizes_of_pictures(config)
    count, (height, width, channels), classes = catalog.size_of(config.data.name)
    asked, factor = config.data.images or count, config.data.downsample
    require(
        asked <= count and height % factor == 0,
        f"config.data.images must be at most {count}, and config.data.downsample must divide "
        f"{height}. Received: {asked} and {factor}",
    )
    count, shape = asked, (height // factor, width // factor, channels)
    kept = round(config.data.validation * count)
    return Sizes(config.data.name, range(count - kept), shape, classes, kept or None)


def _sizes_of_pictures(config):
    """The sizes of a config's pictures; those of ImageNet if it names no source."""
    if config.data.source is not None:
        return datasets.pictures(flatten(config))
    count, classes = _IMAGENET
    count = min(config.data.images or count, count)
    kept = round(config.data.validation * count)
    shape = (config.data.size, config.data.size, 3)
    return Sizes("ImageNet", range(count - kept), shape, classes, kept or None)


def _row(config, images, task, needs, devices, hardware):
    """The row of n devices, which must also be able to share an epoch's last batch."""
    try:
        parts.run_size(config, images, devices)
    except BadInput as error:
        return formulas.Row(devices, reason=str(error))
    return formulas.row(task, needs, devices, hardware)


def _head(config, images, size, task, needs):
    return [
        f"{config.experiment}, variant {config.variant}: {config.model.name}, width "
        f"{config.model.width}, on {size.num_examples:,} images of {images.name}",
        f"{task.updates:,} updates of {task.batch:,} images ({config.epochs} epochs); an image "
        f"takes {needs.flops / MEGA:,.1f} MFLOP forward and keeps "
        f"{needs.kept_bytes / MEGA:,.3f} MB for the backward pass",
    ]


# Header, text of a cell, and whether the hardware that was given is enough to know it.
_COLUMNS = (
    ("devices", lambda r: f"{r.devices}", None),
    ("images a\ndevice", lambda r: f"{r.replica_batch}", None),
    ("micro-\nbatch", lambda r: f"{r.micro_batch}", None),
    ("K", lambda r: f"{r.micro_batches}", None),
    ("updates", lambda r: f"{r.updates}", None),
    ("warm-\nup", lambda r: f"{r.warmup_updates}", None),
    ("peak\nrate", lambda r: f"{r.peak:.4g}", None),
    ("weights\nMB", lambda r: _mega(r.memory.weights), None),
    ("gradient\nMB", lambda r: _mega(r.memory.gradients), None),
    ("summed\nMB", lambda r: _mega(r.memory.accumulated), None),
    ("moments\nMB", lambda r: _mega(r.memory.moments), None),
    ("activa-\ntions MB", lambda r: _mega(r.memory.activations), None),
    ("memory\nMB", lambda r: _mega(r.memory.total), None),
    ("reduced\nMB", lambda r: _mega(r.all_reduce_bytes), None),
    ("compute\ns", lambda r: _short(r.compute_s), lambda h: h.flops),
    ("reduce\ns", lambda r: _short(r.all_reduce_s), lambda h: h.bandwidth),
    ("update\ns", lambda r: _short(r.update_s), lambda h: h.flops and h.bandwidth),
    ("run\nh", lambda r: _short(r.run_s / 3600), lambda h: h.flops and h.bandwidth),
    ("speed-\nup", lambda r: _short(r.speed_up), lambda h: h.flops and h.bandwidth),
    ("effi-\nciency", lambda r: f"{r.efficiency:.0%}", lambda h: h.flops and h.bandwidth),
)


def _table(rows, hardware):
    shown = [column for column in _COLUMNS if column[2] is None or column[2](hardware)]
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for name, _, _ in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        if row.reason:
            table.add_row(f"{row.devices}", *["-"] * (len(shown) - 1))
        else:
            table.add_row(*(text(row) for _, text, _ in shown))
    return table


def _by_micro_batch(task, needs, hardware):
    """The memory that an update needs at each micro-batch that divides the batch."""
    table = Table(box=box.SIMPLE_HEAD)
    titles = ["micro-batch", "activations MB", "memory MB, K = 1", "memory MB, K > 1"]
    for title in [*titles, "fits"] if hardware.memory else titles:
        table.add_column(title, justify="right", no_wrap=True)
    for groups in divisors(task.batch // task.ghost):
        size = groups * task.ghost
        # If the whole batch is one micro-batch, there is nothing to accumulate.
        possible = (1, 2) if size < task.batch else (1,)
        found = [formulas.memory(needs, size, k, task.passes) for k in possible]
        cells = [f"{size}", _mega(found[0].activations), *(_mega(m.total) for m in found)]
        cells += ["-"] * (len(titles) - len(cells))
        if hardware.memory:
            fits = [m.total <= hardware.memory for m in found]
            cells.append("yes" if all(fits) else "K = 1 only" if any(fits) else "no")
        table.add_row(*cells)
    return table


def _mega(count):
    return f"{count / MEGA:,.0f}" if count >= 100 * MEGA else _short(count / MEGA)


def _short(value):
    """Three significant digits, or a whole number from 100 to a million."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.3g}"


def _refused(row):
    return f"  {row.devices} device{'s' * (row.devices > 1)}: {row.reason}"


def _verdict(task, needs, rows, hardware):
    """Where more devices stop helping, by the rule of `formulas`."""
    able = [row.devices for row in rows if not row.reason]
    if not able:
        return "No device count of this table can do the update."
    if hardware.flops is None or hardware.bandwidth is None:
        return "Where it stops scaling is not said: that needs --flops and --bandwidth_gbps."
    rule = f"(rule: less than {formulas.LEAST_GAIN:g} times)"
    end = formulas.stops_at(task, needs, rows, hardware)
    last = able[-1] if end is None else end
    gain = formulas.doubling_gain(task, needs, last, hardware)
    if end is not None:
        return (
            f"It stops scaling at {end} device{'s' * (end > 1)}: twice as many would be only "
            f"{gain:.2f} times as fast {rule}."
        )
    if rows[-1].reason:
        return (
            f"It scales to {last} device{'s' * (last > 1)}, the most here that can do it: twice as "
            f"many, were they possible, would be {gain:.2f} times as fast {rule}."
        )
    return (
        f"It still scales at {last} device{'s' * (last > 1)}, the most of this table: twice as "
        f"many would be {gain:.2f} times as fast {rule}."
    )


def _caption(config, task, hardware):
    """Every assumption behind the numbers, in words."""
    rate = config.learning_rate
    rule = (
        f"{rate.base_peak:g} sqrt(batch / {rate.base_batch})"
        if rate.get("base_batch") and rate.peak is None
        else "as config.learning_rate.peak sets it"
    )
    whole = "whole images"
    if task.ghost > 1:
        whole = f"whole ghost batches of {task.ghost} (or, with K = 1, a part of one)"
    lines = [
        "All of this is on paper: formulas, nothing was run. MB and GB are 10^6 and 10^9 bytes. "
        "They assume:",
        f"- The global batch stays {task.batch} (strong scaling), so updates, warm-up and peak "
        f"rate ({rule}) are the same in every row.",
        f"- Images a device = micro-batch x K; a micro-batch is {whole}, the largest that fits "
        "unless the config sets it.",
        "- Memory = weights (moving statistics too) + gradient + its sum over micro-batches where "
        "K > 1 + moments + activations kept for the backward pass.",
        "  Left out: workspaces of kernels, gradients of activations, copies of weights in a "
        "narrower type, input, the framework itself.",
        "- Reduced = what a device sends in a ring: 2 (n - 1) / n x gradient, once an update.",
        "- Compute = 3 x forward operations (backward is two forward passes) at the FLOP/s given, "
        "whatever the micro-batch.",
        "- Update = compute + reduce, which do not overlap; run = updates x update; speed-up is "
        "over compute on one device.",
        "- Left out of times: latency, the optimizer's reading and writing of memory, waiting for "
        "data, evaluation, checkpoints, compilation.",
    ]
    if config.data.remainder == "keep":
        lines.append(
            "- config.data.remainder=keep: an epoch's last, smaller batch counts as whole."
        )
    if task.passes > 1:
        lines.append(
            f"- config.sharpness_aware.kind={config.sharpness_aware.kind}: compute and reduced are "
            "of two passes; memory has the step between them and the weights after it, too."
        )
    if config.model.get("normalization") == "batch":
        lines.append(
            "- config.model.normalization=batch takes statistics of each micro-batch: another cut "
            "is another training, unlike with ghost batches."
        )
    return lines + _missing(task, hardware)


def _missing(task, hardware):
    lines = []
    if hardware.memory is None:
        kept = "config.micro_batch_size" if task.micro_batch else "K = 1"
        lines.append(f"- No --memory_gb: no limit of memory, so {kept}.")
    if hardware.flops is None:
        lines.append("- No --flops: no column of compute, update, run, speed-up, efficiency.")
    if hardware.bandwidth is None:
        lines.append(
            "- No --bandwidth_gbps: no column of reduce, update, run, speed-up, efficiency."
        )
    return lines
