"""What the experiments share: an optimizer with its schedule, and what each variant changes.

The values are the defaults of the one table, tf_bdecay/training/config/key_table.py;
`main.py --help` says what every key means.
"""

from tf_bdecay.errors import BadInput, unknown
from tf_bdecay.training.config import keys

# For each variant of Tables 1, 3 and 4, the decays that equal w, the decay of kernels.
VARIANTS = {
    "none": (),
    "full": ("weight",),
    "no_bias": ("kernel",),
    "bias": ("kernel",),
    "gamma": ("kernel",),
    "beta": ("kernel", "bias"),
    "adaptive": ("kernel", "bias"),
    "beta_frozen": ("kernel",),
    "gamma_frozen": ("kernel",),
    "bn_frozen": ("kernel",),
}
SMALL_BATCH = "small_batch"  # ImageNet's arm at 1k, without decay of beta
NEED_NORMALIZATION = ("gamma", "beta", "adaptive", "beta_frozen", "gamma_frozen", "bn_frozen")


def lamb(experiment, model="resnet18", data="cifar10"):
    """An experiment with LAMB and polynomial warm-up and decay, by default on CIFAR-10 at 8k.

    Args:
        experiment: its name, which is the name of its file.
        model: the network's name.
        data: the data set's name, or "pictures".

    Returns:
        A ConfigDict; `vary` gives it the decay of a variant.
    """
    config = keys.defaults(data=data, model=model, optimizer="lamb", schedule="polynomial")
    config.experiment = experiment
    return config


def lars(experiment, model="resnet18"):
    """An experiment with LARS on LAMB's schedule, by default on CIFAR-10 at 8k.

    Its peak of 4 moves an adapted variable as far in an update as LAMB's of 0.04: 4 times the trust
    coefficient of 0.001, times 10 by the momentum of 0.9. Arguments as for `lamb`.
    """
    config = keys.defaults(model=model, optimizer="lars", schedule="polynomial")
    config.experiment = experiment
    config.learning_rate.base_peak = 4.0
    return config


def adamw(experiment, model="resnet18"):
    """An experiment with AdamW on LAMB's schedule, by default on CIFAR-10 at 8k.

    By the square-root rule, its peak of 0.004 at 8k is the usual 0.001 at a batch of 512. Arguments
    as for `lamb`.
    """
    config = keys.defaults(model=model, optimizer="adamw", schedule="polynomial")
    config.experiment = experiment
    config.learning_rate.base_peak = 0.004
    return config


def sgd(experiment, model="resnet18"):
    """An experiment with momentum SGD, linear warm-up and cosine, by default on CIFAR-10 at 8k.

    The rate is 0.1 at every batch size, as the paper states it. Arguments as for `lamb`.
    """
    config = keys.defaults(model=model, optimizer="sgd", schedule="cosine")
    config.experiment = experiment
    return config


def imagenet(experiment, model, variant):
    """An experiment with LAMB on ImageNet: 90 epochs at 32k, or at 1k in the variant small_batch.

    Args:
        experiment: its name, which is the name of its file.
        model: the network's name.
        variant: a name in `VARIANTS`, or "small_batch": no_bias at a batch of 1,024.

    Returns:
        A ConfigDict.
    """
    if variant not in (*VARIANTS, SMALL_BATCH):
        raise unknown("variant", variant, [*VARIANTS, SMALL_BATCH])
    config = lamb(experiment, model, data="pictures")
    config.epochs = 90
    config.batch_size, config.learning_rate.base_batch = 32_768, 32_768
    config.evaluation_batch_size = 512
    if variant == SMALL_BATCH:
        config.batch_size = 1024
        config = vary(config, "no_bias")
        config.variant = SMALL_BATCH
        return config
    return vary(config, variant)


def vary(config, variant, weight=None):
    """Gives a config the decay of a variant, and freezes what the variant freezes.

    Args:
        config: from `lamb`, `lars`, `adamw` or `sgd`.
        variant: a name in `VARIANTS`.
        weight: decay of kernels, w; the table's default if None.

    Returns:
        The config.

    Raises:
        BadInput: no such variant, or one that needs normalization layers that the model lacks.
    """
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    if variant in NEED_NORMALIZATION and "frozen" not in config.model:
        without = [name for name in VARIANTS if name not in NEED_NORMALIZATION]
        raise BadInput(
            f"The variant {variant!r} needs layers with gamma and beta, and "
            f"{config.model.name} has none: use one of {', '.join(without)}."
        )
    policy = variant
    if variant.endswith("_frozen"):
        policy, config.model.frozen = "no_bias", variant.removesuffix("_frozen")
    config.variant = variant
    config.decay = keys.defaults(policy=policy).decay
    if weight is not None:
        config.decay.update({name: weight for name in VARIANTS[variant]})
    return config
