"""The one table of what a config may say: every key with its default, type, range and meaning.

Which keys there are depends on five choices: data, model, optimizer, schedule, decay policy. Of
each choice `ANY_...` has the keys that are there whatever is chosen, its name among them, and the
dict beside it the keys by name.

What the paper leaves unstated is here too, as a key with a recorded default: label smoothing,
gradient and trust-ratio clipping, momentum and epsilon of batch normalization, a zero-initialised
last gamma, the initial logits, bias decay of convolutions and dense layers.
"""

import math

from tf_bdecay.data import catalog
from tf_bdecay.training.config.key import (
    NAME,
    Key,
    choice,
    count,
    flag,
    is_by_role_or_path,
    is_name,
    is_path,
    is_patterns,
    number,
    single,
)

ALWAYS = {
    "experiment": Key(str, "unnamed", "the experiment's name", NAME, is_name),
    "variant": Key(str, "unnamed", "the variant of its config file", NAME, is_name),
    "seed": Key(
        int,
        0,
        "of initial weights, order, augmentation and split",
        "in [0, 2^31)",
        lambda v: 0 <= v < 2**31,
    ),
    "epochs": count(
        200, "passes over the training images", paper="Data and models", most=1_000_000
    ),
    "batch_size": count(8192, "global batch of one update, in images", paper="Table 3"),
    "micro_batch_size": count(
        None, "images a replica works on at a time; unset: all", optional=True
    ),
    "evaluation_batch_size": count(1000, "images an evaluation step"),
    "precision": choice(
        "float32", "what layers compute in", "float32", "mixed_bfloat16", "mixed_float16"
    ),
    "label_smoothing": number(0.0, "share of the target spread over all classes", below=1),
    "sharpness_aware.kind": choice(
        "none", "gradient at the worst point near the weights", "none", "sam", "asam"
    ),
    "sharpness_aware.rho": number(
        None, "how near; unset: 0.05 (sam), 0.5 (asam)", above=0, optional=True
    ),
    "sharpness_aware.eta": number(
        None, "asam's, added to |theta|; unset: 0.01", above=0, optional=True
    ),
    "ema.momentum": number(
        None, "of an average of the weights, evaluated beside them", below=1, optional=True
    ),
    "max_skipped_updates": count(10, "non-finite updates in a row after which the run stops"),
    "steps_per_execution": count(1, "updates a call of Keras; divides an epoch's"),
    "jit_compile": flag(False, "XLA compiles the whole train step (no strategy)"),
    "data.images": count(
        None, "images of a fixed permutation to train on; unset: all", optional=True
    ),
    "data.augment": flag(True, "random crops and flips; shifts by a pixel (digits)"),
    "data.randaugment": count(
        None, "operations of RandAugment on a picture; unset: none", optional=True
    ),
    "data.randaugment_magnitude": number(
        None, "how strong they are, 0 to 1; unset: 0.3", most=1, optional=True
    ),
    "data.mixup": number(None, "alpha of MixUp; unset: none", above=0, optional=True),
    "data.cutmix": number(None, "alpha of CutMix; unset: none", above=0, optional=True),
    "data.remainder": choice("drop", "an epoch's last, smaller batch", "drop", "keep"),
    "data.validation": number(0.0, "share of the training images set aside", below=1),
    "finetune.frozen": Key(
        str,
        None,
        "layers that are not trained, by stage or name: stem,stage1",
        "names of stages or regular expressions on layers' names, with commas between them, such "
        "as stem,stage1",
        is_patterns,
        optional=True,
    ),
    "log.summaries_every": count(10, "updates between TensorBoard summaries"),
    "log.variables": flag(False, "norm and C_m of every variable by epoch, in variables.csv"),
    "log.gradient_noise_scale": flag(
        False, "how large a batch pays; needs micro-batches or replicas"
    ),
    "log.evaluate_every": count(1, "epochs between evaluations"),
    "log.checkpoint_every": count(1, "epochs between checkpoints"),
    "log.checkpoint_updates": count(None, "updates between checkpoints, too", optional=True),
    "log.checkpoint_minutes": number(
        None, "minutes between checkpoints, too", above=0, optional=True
    ),
    "log.checkpoints_kept": count(3, "newest checkpoints kept, besides the best"),
    "log.on_save_error": choice(
        "stop", "where a file of the run cannot be written", "stop", "continue"
    ),
}
_IN_MEMORY = {
    "data.downsample": count(1, "side of the squares of pixels whose mean is a pixel"),
}
DATA = {
    **dict.fromkeys(catalog.NAMES, _IN_MEMORY),
    "pictures": {
        "data.source": Key(
            str,
            None,
            "folder or file that has the pictures",
            "the path of a folder or file",
            is_path,
            optional=True,
        ),
        "data.size": count(224, "pixels a side that the network sees", paper="Data and models"),
        "data.shorter": count(
            None, "shorter side before evaluation cuts; unset: 8/7 of size", optional=True
        ),
        "data.least_area": number(
            0.08, "share of the area that a random crop has at least", above=0, most=1
        ),
        "data.flip": flag(True, "mirror half of the training pictures"),
        "data.antialias": flag(True, "shrink by means of all pixels; false: of 4, faster"),
        "data.label_offset": count(0, "the first class's label, as stored", least=0),
        "data.held_out": number(
            None,
            "share to test on where there is one split; unset: 0.2",
            above=0,
            below=1,
            optional=True,
        ),
        "data.on_error": choice("stop", "at a picture that cannot be read", "stop", "skip"),
    },
}
ANY_DATA = {"data.name": choice("cifar10", "a known set, or pictures", *DATA)}
_NORMALIZATION = {
    "evaluation_statistics": choice(
        "precise",
        "statistics in evaluations: re-estimated or moving",
        "precise",
        "moving",
        paper="Ghost batch normalization",
    ),
    "evaluation_statistics_batches": count(
        None, "batches they are from; unset: a tenth of an epoch", optional=True
    ),
    "model.normalization": choice("ghost", "ghost or whole-batch statistics", "ghost", "batch"),
    "model.ghost_batch_size": count(
        32, "images normalised together (normalization=ghost)", paper="Ghost batch normalization"
    ),
    "model.bn_momentum": number(0.9, "share of the old moving statistics", below=1),
    "model.bn_epsilon": number(1e-5, "added to the variance", above=0),
    "model.frozen": choice("none", "parameters left out", "none", "beta", "gamma", "bn"),
}
_RESIDUAL = {
    **_NORMALIZATION,
    "model.zero_last_gamma": flag(False, "start each block's last gamma at 0"),
}
MODELS = {
    "resnet18": {
        **_RESIDUAL,
        "model.stem": choice(
            "cifar",
            "3x3, or 7x7 of stride 2 and a pool",
            "cifar",
            "imagenet",
            paper="Data and models",
        ),
    },
    "resnet50": _RESIDUAL,
    "resnet50_d": _RESIDUAL,
    "vgg11": {},
    "vgg19_bn": _NORMALIZATION,
}
ANY_MODEL = {
    "model.name": choice("resnet18", "the network", *MODELS),
    "model.width": count(64, "channels of the first stage"),
    "model.logits_initializer": choice("fan_in", "of the last dense kernel", "fan_in", "fan_out"),
}
_MOMENTS = {
    "optimizer.beta_1": number(0.9, "decay of the first moment", below=1, paper="The optimizer"),
    "optimizer.beta_2": number(0.999, "decay of the second moment", below=1, paper="The optimizer"),
}
_ADAPTATION = {
    "optimizer.layer_adaptation": choice(
        "kernels", "variables with a trust ratio of their own", "kernels", "all", "decayed"
    ),
}
_NESTEROV = {"optimizer.nesterov": flag(False, "Nesterov's momentum")}
OPTIMIZERS = {
    "lamb": {
        **_MOMENTS,
        "optimizer.epsilon": number(
            1e-6, "added to the root of the second moment", paper="The optimizer"
        ),
        "optimizer.bias_correction": flag(True, "divide moments by 1 - beta^t"),
        **_ADAPTATION,
        "optimizer.trust_clip": number(None, "largest trust ratio", above=0, optional=True),
        "optimizer.decay_in_ratio": flag(True, "decay is part of what the trust ratio scales"),
    },
    "lars": {
        "optimizer.momentum": number(0.9, "of LARS, the rate inside it", below=1),
        **_NESTEROV,
        "optimizer.epsilon": number(0.0, "added to the denominator of the trust ratio"),
        **_ADAPTATION,
        "optimizer.trust_coefficient": number(0.001, "of the trust ratio", above=0),
    },
    "adamw": {
        **_MOMENTS,
        "optimizer.epsilon": number(1e-8, "added to the root of the second moment"),
    },
    "sgd": {
        "optimizer.momentum": number(0.9, "of SGD", below=1),
        **_NESTEROV,
        "optimizer.coupled": flag(True, "decay goes through the momentum (L2)"),
    },
}
ANY_OPTIMIZER = {
    "optimizer.name": choice("lamb", "the optimizer", *OPTIMIZERS),
    "optimizer.global_clipnorm": number(
        None, "limit of the gradient's norm", above=0, optional=True
    ),
    "optimizer.skip_nonfinite": flag(True, "skip an update whose gradient is not finite"),
    "optimizer.rate_multipliers": Key(
        str,
        None,
        "of the rate by role or path: gamma=0.5,head/.*=2",
        "numbers >= 0 by role (kernel, bias, gamma, beta, other) or regular expression on the "
        "path, such as gamma=0.5,head/.*=2",
        is_by_role_or_path,
        optional=True,
    ),
}
SCHEDULES = {
    "polynomial": {
        "learning_rate.peak": number(
            None, "unset: base_peak sqrt(batch_size/base_batch)", optional=True
        ),
        "learning_rate.base_peak": number(0.04, "peak rate at base_batch", paper="appendix A.2"),
        "learning_rate.base_batch": count(
            8192, "batch at which base_peak is the peak", paper="appendix A.2"
        ),
        "learning_rate.warmup": number(
            0.3, "share of all updates that warm up", most=1, paper="appendix A.1"
        ),
        "learning_rate.power_warmup": number(2.0, "exponent of the warm-up", paper="appendix A.1"),
        "learning_rate.power_decay": number(2.0, "exponent of the decay", paper="appendix A.1"),
        "learning_rate.initial": number(0.0, "rate of the first update"),
        "learning_rate.final": number(0.0, "rate after the last update"),
    },
    "cosine": {
        "learning_rate.peak": number(0.1, "largest rate, at every batch size"),
        "learning_rate.warmup_epochs": count(
            10, "epochs of linear warm-up", least=0, paper="appendix A.1"
        ),
    },
}
ANY_SCHEDULE = {"learning_rate.schedule": choice("polynomial", "its shape", *SCHEDULES)}
_WEIGHT = 0.01  # w


def _decay(default, whose, paper=""):
    return number(default, f"decay of {whose}", paper=paper)


def _by_role(bias, gamma):
    """The decays of kernels, of other biases than beta, and of gamma.

    Algorithm 1 gives the biases of convolutions and dense layers the decay of the kernels; the
    policies that it does not speak of leave them alone.
    """
    return {
        **_KERNEL,
        "decay.bias": _decay(bias, "biases of convolutions and dense layers"),
        "decay.gamma": _decay(gamma, "gamma", "Table 3"),
    }


_KERNEL = {"decay.kernel": _decay(_WEIGHT, "kernels", "appendix A.2")}
POLICIES = {
    "none": {},
    "full": {"decay.weight": _decay(_WEIGHT, "every variable")},
    "no_bias": _KERNEL,
    "bias": {**_KERNEL, "decay.bias": _decay(1.0, "biases, and of beta")},
    "gamma": _by_role(bias=0.0, gamma=0.01),
    "beta": {
        **_by_role(bias=_WEIGHT, gamma=0.0),
        "decay.beta": _decay(1.0, "beta", "Table 2"),
    },
    "adaptive": {
        **_by_role(bias=_WEIGHT, gamma=0.0),
        "decay.beta": _decay(1.0, "a beta that is switched on", "Table 2"),
        "decay.threshold": Key(
            float,
            0.1,
            "R: beta decays where r >= R; 0 always, inf never",
            "a number >= 0 (inf: never decay)",
            lambda v: v == math.inf or single(v) >= 0,
            paper="The decision",
        ),
        "decay.unpaired": _decay(0.0, "a beta that has no gamma"),
        "decay.source": choice(
            "update", "what decides: each update, or a probe batch", "update", "probe"
        ),
        "decay.probe_every": count(0, "updates between decisions (source=probe)", least=0),
        "decay.probe_examples": count(0, "images of the probe batch (source=probe)", least=0),
    },
}
ANY_POLICY = {"decay.policy": choice("adaptive", "which variables decay", *POLICIES)}
