"""The paper's constants, once, and what each variant of an experiment changes.

What the paper leaves unstated is here too, as an option with a recorded default: label smoothing,
gradient and trust-ratio clipping, momentum and epsilon of batch normalization, a zero-initialised
last gamma, the initial logits, bias decay of convolutions and dense layers. What every key means:
`main.py --help`.
"""

from ml_collections import ConfigDict, config_dict

from tf_bdecay.errors import BadInput, unknown

BATCH = 8192  # "8k"
EPOCHS = 200
PEAK, BASE_BATCH = 0.04, 8192  # eta_peak = 0.04 sqrt(batch / 8192) on CIFAR
LAMB_DECAY = 0.01  # w
SGD_DECAY = 0.005  # the larger of Table 1's
BETA_DECAY, THRESHOLD = 1.0, 0.1  # lambda_beta, R


def lamb(experiment):
    """An experiment with LAMB and polynomial warm-up and decay, by default on CIFAR-10 at 8k.

    Args:
        experiment: its name, which is the name of its file.

    Returns:
        A ConfigDict that lacks its decay: `vary` adds it.
    """
    config = _base(experiment)
    config.optimizer = ConfigDict(
        dict(
            name="lamb",
            beta_1=0.9,
            beta_2=0.999,
            epsilon=1e-6,
            bias_correction=True,
            layer_adaptation="kernels",
            trust_clip=config_dict.placeholder(float),
            global_clipnorm=config_dict.placeholder(float),
            skip_nonfinite=True,
        )
    )
    config.learning_rate = ConfigDict(
        dict(
            schedule="polynomial",
            peak=config_dict.placeholder(float),  # unset: base_peak sqrt(batch / base_batch)
            base_peak=PEAK,
            base_batch=BASE_BATCH,
            warmup=0.3,
            power_warmup=2.0,
            power_decay=2.0,
            initial=0.0,
            final=0.0,
        )
    )
    return config


def sgd(experiment):
    """An experiment with momentum SGD, linear warm-up and cosine, by default on CIFAR-10 at 8k.

    The rate is 0.1 at every batch size, as the paper states it.
    """
    config = _base(experiment)
    config.optimizer = ConfigDict(
        dict(
            name="sgd",
            momentum=0.9,
            nesterov=False,
            coupled=True,
            global_clipnorm=config_dict.placeholder(float),
            skip_nonfinite=True,
        )
    )
    config.learning_rate = ConfigDict(dict(schedule="cosine", peak=0.1, warmup_epochs=10))
    return config


def vary(config, variant, weight=LAMB_DECAY):
    """Adds the decay of a variant, and freezes what it freezes.

    Args:
        config: from `lamb` or `sgd`.
        variant: a name in `VARIANTS`: the policies and frozen parameters of Tables 1, 3, 4.
        weight: decay of kernels, w.

    Returns:
        The config.

    Raises:
        BadInput: no such variant, or one that needs normalization layers that the model lacks.
    """
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    config.variant = variant
    config.decay = ConfigDict(VARIANTS[variant](weight))
    if variant in NEED_NORMALIZATION:
        if "frozen" not in config.model:
            without = [name for name in VARIANTS if name not in NEED_NORMALIZATION]
            raise BadInput(
                f"The variant {variant!r} needs layers with gamma and beta, and "
                f"{config.model.name} has none: use one of {', '.join(without)}."
            )
        if variant.endswith("_frozen"):
            config.model.frozen = variant.removesuffix("_frozen")
    return config


def _no_bias(weight):
    return dict(policy="no_bias", kernel=weight)


# Algorithm 1 gives the biases of convolutions and dense layers the decay of the kernels; the rows
# that it does not speak of leave them alone.
VARIANTS = {
    "none": lambda w: dict(policy="none"),
    "full": lambda w: dict(policy="full", weight=w),
    "no_bias": _no_bias,
    "bias": lambda w: dict(policy="bias", kernel=w, bias=1.0),
    "gamma": lambda w: dict(policy="gamma", kernel=w, bias=0.0, gamma=0.01),
    "beta": lambda w: dict(policy="beta", kernel=w, bias=w, gamma=0.0, beta=BETA_DECAY),
    "adaptive": lambda w: dict(
        policy="adaptive",
        kernel=w,
        bias=w,
        gamma=0.0,
        beta=BETA_DECAY,
        threshold=THRESHOLD,
        unpaired=0.0,
        source="update",
        probe_every=0,
        probe_examples=0,
    ),
    "beta_frozen": _no_bias,
    "gamma_frozen": _no_bias,
    "bn_frozen": _no_bias,
}
NEED_NORMALIZATION = ("gamma", "beta", "adaptive", "beta_frozen", "gamma_frozen", "bn_frozen")


def resnet18(width=64):
    """ResNet18 with ghost batch normalization in groups of 32."""
    return ConfigDict(
        dict(name="resnet18", **_network(width), **_normalization(), zero_last_gamma=False)
    )


def vgg11(width=64):
    """VGG11: no normalization, biases everywhere, one dense layer."""
    return ConfigDict(dict(name="vgg11", **_network(width)))


def vgg19_bn(width=64):
    """VGG19 with ghost batch normalization in groups of 32."""
    return ConfigDict(dict(name="vgg19_bn", **_network(width), **_normalization()))


def _network(width):
    return dict(width=width, logits_initializer="fan_in")


def _normalization():
    return dict(
        normalization="ghost",
        ghost_batch_size=32,
        bn_momentum=0.9,
        bn_epsilon=1e-5,
        frozen="none",
    )


def _base(experiment):
    return ConfigDict(
        dict(
            experiment=experiment,
            variant="",
            seed=0,
            epochs=EPOCHS,
            batch_size=BATCH,
            micro_batch_size=config_dict.placeholder(int),
            evaluation_batch_size=1000,
            precision="float32",
            label_smoothing=0.0,
            max_skipped_updates=10,
            steps_per_execution=1,
            jit_compile=False,
            data=dict(name="cifar10", augment=True, remainder="drop", validation=0.0),
            model=resnet18().to_dict(),
            log=dict(
                summaries_every=10,
                evaluate_every=1,
                checkpoint_every=1,
                checkpoint_updates=config_dict.placeholder(int),
                checkpoint_minutes=config_dict.placeholder(float),
                checkpoints_kept=3,
                on_save_error="stop",
            ),
        )
    )
