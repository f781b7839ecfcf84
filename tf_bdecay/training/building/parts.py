"""Builds the parts of a checked config: numbers, network, schedule, optimizer."""

import contextlib
import dataclasses
import math
import os

import keras
import numpy as np
from ml_collections import ConfigDict

import tf_bdecay
from tf_bdecay import data, decay, models, optim, patterns
from tf_bdecay.batches import check_cut, check_divides
from tf_bdecay.errors import BadInput, first_line, require
from tf_bdecay.schedules import LinearWarmupCosine, for_batch
from tf_bdecay.training.building import datasets, finetuning
from tf_bdecay.training.config.checks import CUT_NAMES, ghost_batch_size
from tf_bdecay.training.config.dotted import flatten, nested

_WIDE = 256  # the width from which to check whether memory holds the weights


@dataclasses.dataclass(frozen=True)
class RunSize:
    """The numbers that follow from a config and its data.

    Attributes:
        num_examples: training images.
        updates_per_epoch: number of updates; the last is smaller if a remainder is kept.
        total_updates: T.
        peak: eta_peak.
        split: the split on which epochs are evaluated, "validation" or "test".
    """

    num_examples: int
    updates_per_epoch: int
    total_updates: int
    peak: float
    split: str


def check_strategy(config, strategy):
    """Checks a config against the devices on which it is to run.

    Args:
        config: a ConfigDict that passed `checks.check`.
        strategy: from `strategies.make`.

    Raises:
        BadInput: replicas do not divide what they share, or the strategy cannot do what is asked.
    """
    from tf_bdecay.distribution import strategies  # needs TensorFlow, unlike the rest

    _check_cut(config, strategies.replicas(strategy), config.batch_size)
    parts = config.batch_size // (config.micro_batch_size or config.batch_size)
    require(
        not config.log.gradient_noise_scale or max(parts, strategies.replicas(strategy)) > 1,
        "config.log.gradient_noise_scale compares the gradients of a batch's parts: set "
        "config.micro_batch_size to at most half of config.batch_size, or train on several "
        f"replicas. Received: config.micro_batch_size={config.micro_batch_size}, "
        f"config.batch_size={config.batch_size}, 1 replica",
    )
    if strategies.is_multi_worker(strategy):
        require(
            config.steps_per_execution == 1,
            f"config.steps_per_execution={config.steps_per_execution} must be 1 with "
            "--strategy=multi_worker, where the workers agree after every update.",
        )
        require(
            config.decay.get("source") != "probe",
            "config.decay.source=probe does not go with --strategy=multi_worker, whose workers "
            "would each decide by themselves: use config.decay.source=update.",
        )
    require(
        not (config.jit_compile and strategy),
        "config.jit_compile=true works with --strategy=none only: XLA cannot compile a whole step "
        "across replicas (the optimizer's update is compiled anyway).",
    )


def _check_cut(config, replicas, batch, name=CUT_NAMES[0], otherwise=""):
    ghost, names = ghost_batch_size(flatten(config)), (name, *CUT_NAMES[1:])
    shared = config.data.remainder != "keep"  # else only the running graph knows a batch's size
    check_cut(batch, replicas, config.micro_batch_size, ghost, names, otherwise, shared)
    datasets.strong_augmentation(config).check_parts(name, batch, replicas, otherwise)


def run_size(config, images, replicas=1):
    """The `RunSize` of a config on its data.

    Raises:
        BadInput: a batch larger than the set, or an epoch that cannot be cut as asked.
    """
    count, batch = len(images.train), config.batch_size
    require(
        batch <= count,
        f"config.batch_size={batch} is larger than the {count} training images of {images.name}.",
    )
    probed = config.decay.get("probe_examples", 0)
    require(
        probed <= count,
        f"config.decay.probe_examples={probed} is more than the {count} training images of "
        f"{images.name}.",
    )
    if config.data.remainder == "keep" and count % batch:
        last = f"the last batch of an epoch of {count} images"
        _check_cut(config, replicas, count % batch, last, "config.data.remainder=drop")
    per_epoch = data.updates_per_epoch(count, batch, config.data.remainder)
    # Otherwise Keras would run more updates than an epoch has.
    steps = {"config.steps_per_execution": config.steps_per_execution}
    check_divides(steps, "the updates of an epoch", per_epoch)
    schedule = _schedule(config, count, per_epoch)
    return RunSize(
        num_examples=count,
        updates_per_epoch=per_epoch,
        total_updates=schedule.total_updates,
        peak=schedule.peak,
        split="validation" if images.validation is not None else "test",
    )


def make_model(config, num_classes, image_shape):
    """The network of a config.

    Args:
        config: a ConfigDict.
        num_classes: number of classes.
        image_shape: (height, width, channels).

    Raises:
        BadInput: a width whose weights do not fit into this machine's memory.
    """
    _check_width(config, num_classes, image_shape)
    return _model(config, num_classes, image_shape)


def recorded_model(flat, num_classes, image_shape, file, right):
    """The network of a config that a run recorded, and that anybody may have changed since.

    Args:
        flat: dict of dotted path to value.
        num_classes, image_shape: as in `make_model`.
        file: the file with the record, for the message.
        right: what would be right, for the message.

    Raises:
        BadInput: it describes no network.
    """
    try:
        return make_model(ConfigDict(nested(flat)), num_classes, image_shape)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"{file} describes no model ({type(error).__name__}: {first_line(error)}): {right}"
        ) from error


def _check_width(config, num_classes, image_shape):
    """Raises `BadInput` for a width for whose memory the system would kill the process.

    Channels are multiples of the width, so the number of parameters is a quadratic function of it,
    which three small networks determine. Weights, gradients and two moments take 16 bytes per
    parameter.
    """
    width, memory = config.model.width, _memory()
    if width < _WIDE or memory is None:
        return
    sizes = np.array([4, 8, 12])
    counts = []
    for size in sizes:
        small = ConfigDict(config.to_dict())
        small.model.width = int(size)
        counts.append(trainable_parameters(_model(small, num_classes, image_shape)))
    needs = 16 * np.poly1d(np.polyfit(sizes, counts, 2))
    fits = int((needs - memory).roots.real.max())
    require(
        needs(width) <= memory,
        f"config.model.width={width} needs {needs(width) / 1e9:,.0f} GB for weights, gradients and "
        f"moments alone, and this machine has {memory / 1e9:,.0f} GB: up to "
        f"config.model.width={fits} would fit.",
    )


def _memory():
    """Bytes of memory for the weights; None if unknown, or on a GPU, whose own error suffices."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    else:
        gpus = [d for d in keras.distribution.list_devices() if not d.startswith("cpu")]
    if gpus:
        return None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _model(config, num_classes, image_shape):
    arguments = dict(config.model)
    name = arguments.pop("name")
    frozen = arguments.pop("frozen", None)
    if frozen is not None:
        # Frozen parameters are left out: `trainable=False` would stop the statistics too.
        arguments["center"] = frozen not in ("beta", "bn")
        arguments["scale"] = frozen not in ("gamma", "bn")
    model = models.build(name, num_classes=num_classes, input_shape=image_shape, **arguments)
    layers = config.get("finetune", {}).get("frozen")  # earlier configs lack it
    if layers:
        finetuning.freeze(model, layers)
        require(
            config.decay.policy != "adaptive" or finetuning.leaves_a_pair(model),
            f"config.finetune.frozen={layers} freezes every normalization layer, and "
            "config.decay.policy=adaptive decides by their gamma and beta: start from the variant "
            "no_bias or bias, or leave a normalization layer to train.",
        )
    return model


def make_optimizer(config, schedule):
    """The optimizer of a config, with its decay policy."""
    arguments = dict(config.optimizer)
    kind = optim.OPTIMIZERS[arguments.pop("name")]
    rates = arguments.pop("rate_multipliers")
    policy = {k: v for k, v in config.decay.items() if not k.startswith("probe_")}
    if config.ema.momentum is not None:
        arguments |= {"use_ema": True, "ema_momentum": config.ema.momentum}
    optimizer = kind(
        schedule,
        weight_decay=decay.get(policy.pop("policy"), **policy),
        gradient_norms=config.log.gradient_noise_scale,
        rate_multipliers=rates and patterns.parse(rates, "rate_multipliers", kind.__name__),
        **arguments,
    )
    if config.precision == "mixed_float16":
        return tf_bdecay.LossScaleOptimizer(optimizer)
    return optimizer


def make_sharpness_aware(config):
    """The `SharpnessAware` of a config, or None."""
    kind, *numbers = (config.sharpness_aware[name] for name in ("kind", "rho", "eta"))
    return None if kind == "none" else tf_bdecay.SharpnessAware(kind, *numbers)


@contextlib.contextmanager
def precision(config):
    """A context in which layers are created with the config's precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def statistics_batches(config, size):
    """Number of batches from which to re-estimate statistics; by default a tenth of an epoch's."""
    asked = config.evaluation_statistics_batches or math.ceil(size.updates_per_epoch / 10)
    return min(asked, size.updates_per_epoch)


def make_schedule(config, size):
    """The learning rate of a config, as a function of updates done."""
    return _schedule(config, size.num_examples, size.updates_per_epoch)


def _schedule(config, num_examples, per_epoch):
    rate, batch = config.learning_rate, config.batch_size
    if rate.schedule == "cosine":
        warmup = rate.warmup_epochs * per_epoch
        return LinearWarmupCosine(rate.peak, per_epoch * config.epochs, warmup)
    # A peak that is set applies to the run's own batch size.
    reference = (rate.base_peak, rate.base_batch) if rate.peak is None else (rate.peak, batch)
    shape = ("warmup", "power_warmup", "power_decay", "initial", "final")
    return for_batch(
        batch,
        num_examples,
        config.epochs,
        *reference,
        config.data.remainder,
        **{name: rate[name] for name in shape},
    )


def trainable_parameters(model):
    """The number of trainable parameters of a model."""
    return sum(math.prod(v.shape) for v in model.trainable_variables)
