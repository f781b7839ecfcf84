"""One run of a table or figure: its resolved config, its key, and the command that trains it."""

import dataclasses
import hashlib
import json
import os
import pathlib

from tf_bdecay.data import catalog
from tf_bdecay.storage.files import json_ready
from tf_bdecay.training.config import keys
from tf_bdecay.training.config.checks import check
from tf_bdecay.training.config.dotted import flatten
from tools.reproducing import config as config_file
from tools.reproducing.scales import IMAGENET

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Raised by hand where an update's numbers change beyond rounding: older results are then of another
# experiment. Any other commit leaves finished runs as good as they were.
NUMERICS = 1
# Names, which change no number; and the seed, which `key` hashes by itself.
_LEFT_OUT = ("experiment", "variant", "seed")
FIRST_TUNING_SEED = 1000
MOST_SEEDS = 64  # of an arm, that tables look for
PAUSED = 5  # exit code of a run under JAX that its time was up for; the others are of main.py


@dataclasses.dataclass(frozen=True)
class Arm:
    """One treatment, of which there is a run for every seed.

    Attributes:
        dataset, model, optimizer, variant: names, as configs/ has them.
        batch: role of its batch size: small, middle or large.
        overrides: tuple of (dotted path, value), of this arm.
    """

    dataset: str
    model: str = "resnet18"
    optimizer: str = "lamb"
    variant: str = "no_bias"
    batch: str = "large"
    overrides: tuple = ()

    def but(self, **changes):
        """The arm with some attributes changed; `overrides` are added to its own."""
        more = dict(self.overrides) | dict(changes.pop("overrides", ()))
        return dataclasses.replace(self, overrides=tuple(sorted(more.items())), **changes)


@dataclasses.dataclass(frozen=True)
class Run:
    """An arm with a seed, at a scale: what is trained once and shared by tables and figures.

    Attributes:
        arm: the `Arm`.
        scale: the `Scale`.
        seed: its seed.
        flat: dict of dotted path to value, the resolved config.
        key: hexadecimal hash of what the run computes.
    """

    arm: Arm
    scale: object
    seed: int
    flat: dict
    key: str

    @property
    def tuning(self):
        """Whether it is one of those by which rates and decays are chosen."""
        return self.seed >= FIRST_TUNING_SEED

    @property
    def pictures(self):
        """Whether it trains on pictures in files."""
        return self.arm.dataset == IMAGENET

    @property
    def label(self):
        """What it is called in lists."""
        arm = self.arm
        more = "".join(f" {path.rpartition('.')[2]}={value}" for path, value in arm.overrides)
        size = self.flat["batch_size"]
        names = f"{arm.dataset} {arm.model} {arm.optimizer} {arm.variant}"
        return f"{names} b{size}{more} seed {self.seed}"

    @property
    def spec(self):
        """The value of main.py's --config."""
        arm = self.arm
        names = f"{arm.optimizer}-{arm.model}-{arm.dataset}-{arm.variant}"
        return f"tools/reproducing/config.py:{names}"

    @property
    def updates(self):
        """Updates of the run, about: images drawn over the batch."""
        return self.images_drawn // self.flat["batch_size"]

    @property
    def images_drawn(self):
        """Images that the run trains on, counted once an epoch."""
        name, size = self.flat["data.name"], self.scale.imagenet_images
        if name in catalog.NAMES:
            size, _, _ = catalog.size_of(name)
        return (self.flat["data.images"] or size) * self.flat["epochs"]


def backend():
    """Keras' backend in the process that trains; Keras itself would load TensorFlow to say it."""
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def overrides(arm, scale, seed):
    """Dict of dotted path to value: what the config file does not say."""
    if arm.dataset == IMAGENET:
        found = {**scale.imagenet, "batch_size": scale.imagenet_batches[arm.batch]}
    else:
        more = scale.sgd if arm.optimizer == "sgd" else {}
        found = {**scale.overrides, **more, "batch_size": scale.batches[arm.batch]}
    found["seed"] = seed
    if arm.optimizer == "sgd" or "learning_rate.peak" in dict(arm.overrides):
        found = {k: v for k, v in found.items() if not k.startswith("learning_rate.base")}
    return {**found, **dict(arm.overrides)}


def resolve(arm, scale, seed):
    """The `Run` of an arm.

    Raises:
        BadInput: a config that main.py would refuse.
    """
    names = (arm.optimizer, arm.model, arm.dataset, arm.variant)
    config = config_file.get_config("-".join(names))
    config.update_from_flattened_dict(overrides(arm, scale, seed))
    check(config)
    flat = json_ready(flatten(config))
    return Run(arm, scale, seed, flat, key(flat, seed))


def changed(flat):
    """What of a resolved config differs from the defaults of its keys, without names and seed.

    How a run is logged is left out too: it changes no number of the end.
    """
    defaults = keys.defaults_of(flat)
    # The default of a choice may change what all its keys mean.
    chosen = {choice.path for choice in keys.CHOICES.values()}
    return {
        path: value
        for path, value in sorted(flat.items())
        if path not in _LEFT_OUT
        and not path.startswith("log.")
        and (path in chosen or json_ready(defaults[path]) != value)
    }


def key(flat, seed, numerics=NUMERICS):
    """The hash by which a result is found: of config, seed and version of the numerics."""
    what = {"config": changed(flat), "seed": seed, "numerics": numerics}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
