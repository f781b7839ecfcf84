"""An experiment: config -> data, model, optimizer, strategy; nothing runs yet."""

import dataclasses

import keras
import numpy as np

import tf_bdecay
from tf_bdecay.distribution import strategies
from tf_bdecay.frameworks import keras_private
from tf_bdecay.training.building import datasets, finetuning, metrics, parts
from tf_bdecay.training.building.losses import SmoothedCrossentropy
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.step.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything to train with, created and checked, before the first update.

    Attributes:
        config: the resolved ConfigDict.
        images: the `ImageSet`, or `PictureSet`.
        size: the `RunSize`.
        schedule: the learning rate as a function of updates done.
        strategy: a `tf.distribute.Strategy` or None.
        model: the plain functional model.
        trainer: the compiled `Trainer` of the same layers, its optimizer built.
    """

    config: object
    images: object
    size: parts.RunSize
    schedule: object
    strategy: object
    model: keras.Model
    trainer: Trainer


def build(config, strategy=None, data_dir=None, download=False, images=None):
    """Creates data, model and optimizer from a checked config.

    Args:
        config: a ConfigDict that passed `checks.check`.
        strategy: from `strategies.make`.
        data_dir: the folder of prepared data sets; None for the library's default.
        download: whether a missing data set may be downloaded.
        images: from `datasets.load`, if they are loaded already.

    Returns:
        An `Experiment`.

    Raises:
        BadInput: data that is missing, or that the batch does not fit.
    """
    parts.check_strategy(config, strategy)
    if images is None:
        images = datasets.load(flatten(config), data_dir, download)
    strong = datasets.strong_augmentation(config)
    strong.check_pictures(images.name, images.image_shape[-1])
    size = parts.run_size(config, images, strategies.replicas(strategy))
    schedule = parts.make_schedule(config, size)
    keras.utils.set_random_seed(config.seed)
    with strategies.scope(strategy), parts.precision(config):
        model = parts.make_model(config, images.num_classes, images.image_shape)
        trainer = Trainer(model.input, model.output, name=model.name)
        trainer.compile(
            optimizer=parts.make_optimizer(config, schedule),
            loss=SmoothedCrossentropy(config.label_smoothing),
            metrics=metrics.make(config, images),
            steps_per_execution=config.steps_per_execution,
            jit_compile=config.jit_compile,
            micro_batch_size=config.micro_batch_size,
            sharpness_aware=parts.make_sharpness_aware(config),
        )
        trainer.optimizer.build(trainer)
        # A checkpoint's metrics are assigned before the first step, in which Keras builds them.
        x, y = np.zeros([1, *images.image_shape], "float32"), np.zeros([1], "int64")
        keras_private.build_metrics(trainer, x, y, np.zeros([1, images.num_classes], "float32"))
    return Experiment(config, images, size, schedule, strategy, model, trainer)


def describe(experiment):
    """The resolved experiment in words and tables: what `--dry_run` prints.

    Args:
        experiment: from `build`.

    Returns:
        A string of several lines.
    """
    config, size, images = experiment.config, experiment.size, experiment.images
    shape = "x".join(map(str, images.image_shape))
    replicas = strategies.replicas(experiment.strategy)
    strong = datasets.strong_augmentation(config).words()
    lines = {
        "experiment": f"{config.experiment}, variant {config.variant}, seed {config.seed}",
        "data": f"{images.name}: {size.num_examples:,} images to train on, {len(images.test):,} "
        f"to test on, {shape}, {images.num_classes} classes; epochs are evaluated on {size.split}",
        **({"pictures": images.words()} if config.data.name == "pictures" else {}),
        **({"augmentation": strong} if strong else {}),
        "model": f"{config.model.name}, width {config.model.width}: "
        f"{parts.trainable_parameters(experiment.model):,} trainable parameters",
        "batch": f"{config.batch_size:,} images on {replicas} replica{'s' * (replicas > 1)}"
        + (f", {config.micro_batch_size:,} at a time" if config.micro_batch_size else "")
        + ("" if config.precision == "float32" else f", in {config.precision}"),
        "updates": f"{size.updates_per_epoch} an epoch, {config.epochs} epochs: "
        f"{size.total_updates:,}",
        "learning rate": f"peak {size.peak:.6g} after {experiment.schedule.warmup_updates:,} "
        "updates of warm-up",
        "optimizer": config.optimizer.name,
    }
    aware = experiment.trainer.sharpness_aware
    if aware:
        numbers = [f"{n} {v:g}" for n, v in aware.get_config().items() if n != "kind"]
        lines["optimizer"] += f", with {aware.kind} of {', '.join(numbers)}"
    if config.ema.momentum is not None:
        lines["optimizer"] += f", its weights averaged with momentum {config.ema.momentum:g}"
    frozen = finetuning.words(experiment.model)
    lines |= {"frozen": frozen} if frozen else {}
    values = [f"config.{path} = {value}" for path, value in flatten(config).items()]
    table = str(tf_bdecay.describe(experiment.trainer))
    return "\n".join([*values, "", *(f"{n:15}{text}" for n, text in lines.items()), table])
