"""How large a batch pays: plan mode's answer, from a gradient noise scale that a run measured."""

import dataclasses
import math
import os
import pathlib

from rich import box
from rich.table import Table

from tf_bdecay import gradient_noise
from tf_bdecay.errors import BadInput, require, shown
from tf_bdecay.storage.files import fits, read_json
from tf_bdecay.storage.paths import local
from tf_bdecay.training.config.dotted import flatten

FACTORS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16)
_OF_THE_NETWORK = ("model.", "data.name", "data.augment", "data.size", "label_smoothing")


@dataclasses.dataclass(frozen=True)
class Noise:
    """A gradient noise scale, and where it is from.

    Attributes:
        scale: N, in images.
        where: where it is from, in words.
        config: of the run that measured it, a dict of dotted path to value; empty if unknown.
    """

    scale: float
    where: str
    config: dict = dataclasses.field(default_factory=dict)


def read(text):
    """The `Noise` of `--noise_scale`: a number of images, or the workdir of a finished run.

    Args:
        text: value of the flag.

    Raises:
        BadInput: it is neither, or the run measured no finite noise scale.
    """
    try:
        scale = float(text)
    except ValueError:
        return _of_run(pathlib.Path(local("--noise_scale", text)))
    require(
        0 < scale < math.inf,
        "--noise_scale must be a number of images > 0, or the workdir of a finished run that had "
        f"--config.log.gradient_noise_scale=true. Received: {text}",
    )
    return Noise(scale, "as given by --noise_scale")


def _of_run(path):
    file, wants = path / "result.json", "--config.log.gradient_noise_scale=true"
    require(
        os.path.isfile(file),  # pathlib's raises for too long a name
        "--noise_scale must be a number of images, or the workdir of a finished run that had "
        f"{wants}. Received: {shown(str(path))[1:-1]}, which has no result.json",
    )
    result = read_json(file, dict, "name another run in --noise_scale")
    number = {"gradient_noise_scale_of_run": (int, float, str), "gradient_noise_batch": int}
    require(
        fits(result, number),
        f"The run in {path} measured no gradient noise scale: run it again in another --workdir "
        f"with {wants}, or give --noise_scale a number of images.",
    )
    try:
        scale = float(result["gradient_noise_scale_of_run"])
    except ValueError:
        scale = math.nan
    require(
        math.isfinite(scale),
        f"The gradient noise scale of the run in {path} is {scale}, of which nothing follows: "
        "measure it in a longer run, or in one with a larger batch.",
    )
    where = f"measured over the run in {path}, at batch {result['gradient_noise_batch']:,}"
    try:
        config = read_json(path / "config.json", dict)
    except BadInput:
        config = {}
    return Noise(scale, where, config)


def page(config, noise):
    """What a noise scale says about a config's batch and others: a list of what rich prints.

    Args:
        config: the ConfigDict of the plan.
        noise: a `Noise`.
    """
    batch, scale = config.batch_size, noise.scale
    said = gradient_noise.sentence(batch, scale)
    return [
        "",
        f"Gradient noise scale {gradient_noise.in_words(scale)} images, {noise.where}: {said}.",
        _table(batch, scale),
        "- Progress of an update = 1 / (1 + noise scale / batch), of one by all images; use of an "
        "image = 1 / (1 + batch / noise scale), of one in a tiny batch (McCandlish et al., 2018).",
        "- It takes the noise scale of that run for that of every batch, and the best learning "
        "rate at each: how the rate must change with the batch is another matter.",
        *_differences(flatten(config), noise.config),
    ]


def _table(batch, scale):
    table = Table(box=box.SIMPLE_HEAD)
    for title in (
        "batch",
        "progress of an update",
        "use of an image",
        "worth, of two half as large",
    ):
        table.add_column(title, justify="right", no_wrap=True)
    for size in (round(batch * factor) for factor in FACTORS if batch * factor >= 1):
        table.add_row(
            f"{size:,}" + (" (this plan)" if size == batch else ""),
            f"{gradient_noise.update_share(size, scale):.1%}",
            f"{gradient_noise.example_share(size, scale):.1%}",
            f"{gradient_noise.worth(size, 2, scale):.2f}",
        )
    return table


def _differences(here, there):
    """A list of one line if the run was of another problem, as far as its config is known."""
    names = [name for name in here if name.startswith(_OF_THE_NETWORK) and name in there]
    found = [f"{n} is {there[n]} there and {here[n]} here" for n in names if there[n] != here[n]]
    return [f"- That run was of another problem: {', '.join(found)}."] if found else []
