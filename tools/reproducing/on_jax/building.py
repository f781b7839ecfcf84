"""From a config to a run under the JAX backend of Keras, without TensorFlow."""

import dataclasses
import random

import keras

from tf_bdecay.data import catalog
from tf_bdecay.errors import require
from tf_bdecay.training.building import datasets, parts
from tf_bdecay.training.config.dotted import flatten
from tools.reproducing import initial_weights
from tools.reproducing.on_jax import step

# What the loop does not have: key -> the values that it takes.
TAKEN = {
    "precision": ("float32", "mixed_bfloat16"),
    "sharpness_aware.kind": ("none",),
    "ema.momentum": (None,),
    "micro_batch_size": (None,),
    "data.name": catalog.NAMES,
    "data.remainder": ("drop",),
    "data.randaugment": (None,),
    "data.mixup": (None,),
    "data.cutmix": (None,),
    "decay.source": (None, "update"),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """A run before its first update.

    Attributes:
        config: the resolved ConfigDict.
        images: the `ImageSet`.
        size: the `RunSize`.
        schedule: the learning rate by updates done.
        model, optimizer: built.
        steps: the `Steps`.
    """

    config: object
    images: object
    size: parts.RunSize
    schedule: object
    model: keras.Model
    optimizer: object
    steps: step.Steps

    @property
    def precise(self):
        """Whether epochs are evaluated with re-estimated statistics."""
        return self.config.get("evaluation_statistics") == "precise"

    @property
    def shown(self):
        """Dict of loss and metrics to what metrics.csv calls those of an epoch's evaluation."""
        end = "_precise" * self.precise
        return {name: f"{self.size.split}_{name}{end}" for name in self.steps.evaluated}


def check(config):
    """Checks that the loop has all that a config asks for.

    Raises:
        BadInput: it has not.
    """
    flat = flatten(config)
    for key, taken in TAKEN.items():
        words = " or ".join("unset" if value is None else str(value) for value in taken)
        require(
            flat.get(key) in taken,
            f"config.{key} must be {words} under KERAS_BACKEND=jax: use KERAS_BACKEND=tensorflow. "
            f"Received: {flat.get(key)}",
        )


def build(config, data_dir=None, images=None):
    """Makes data, model and optimizer of a checked config.

    Args:
        config: a ConfigDict that passed `checks.check`.
        data_dir: where prepared data sets are; None for the library's own place.
        images: an `ImageSet`, where it is loaded already.

    Returns:
        A `Run`.

    Raises:
        BadInput: what the loop does not have, or data that is missing or that the batch does not
            fit.
    """
    check(config)
    if images is None:
        images = datasets.load(flatten(config), data_dir)
    size = parts.run_size(config, images)
    schedule = parts.make_schedule(config, size)
    # Initializers take their seeds from here; Keras' own function loads TensorFlow if it is there.
    random.seed(config.seed)
    with parts.precision(config), initial_weights.of_tensorflow():
        model = parts.make_model(config, images.num_classes, images.image_shape)
    initial_weights.check(model)
    optimizer = parts.make_optimizer(config, schedule)
    optimizer.build(model)
    steps = step.Steps(model, optimizer, images, config.label_smoothing)
    return Run(config, images, size, schedule, model, optimizer, steps)
