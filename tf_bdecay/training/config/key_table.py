"""The table of all config keys: default, type, range and meaning.

Five choices determine which keys a config has: data, model, optimizer, schedule, decay policy. For
each choice, `ANY_...` has the keys that every config has, including the one that names the choice;
the dict beside it has the other keys by that name.

What the paper leaves unstated is here too, as keys with a recorded default: label smoothing,
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
        "random seed of weights, order, augmentation and split",
        "in [0, 2^31)",
        lambda v: 0 <= v < 2**31,
    ),
    "epochs": count(
        200, "passes over the training images", paper="Data and models", most=1_000_000
    ),
    "batch_size": count(8192, "global batch of one update, in images", paper="Table 3"),
    "micro_batch_size": count(
        None, "images that a replica works on at a time; unset: all", optional=True
    ),
    "evaluation_batch_size": count(1000, "images per evaluation step"),
    "precision": choice(
        "float32",
        "number format that layers compute in",
        "float32",
        "mixed_bfloat16",
        "mixed_float16",
    ),
    "label_smoothing": number(0.0, "share of the target spread evenly over all classes", below=1),
    "sharpness_aware.kind": choice(
        "none", "update by the gradient at the worst point nearby", "none", "sam", "asam"
    ),
    "sharpness_aware.rho": number(
        None, "distance to that point; unset: 0.05 (sam), 0.5 (asam)", above=0, optional=True
    ),
    "sharpness_aware.eta": number(
        None, "asam: added to abs(theta) in its scale; unset: 0.01", above=0, optional=True
    ),
    "ema.momentum": number(
        None, "momentum of averaged weights, evaluated too; unset: none", below=1, optional=True
    ),
    "max_skipped_updates": count(10, "stop after this many non-finite updates in a row"),
    "steps_per_execution": count(1, "updates per call of Keras; divides those of an epoch"),
    "jit_compile": flag(False, "compile the whole train step with XLA (no strategy)"),
    "data.images": count(
        None, "train on this many images, a fixed subset; unset: all", optional=True
    ),
    "data.augment": flag(True, "random crops and flips (digits: shifts by one pixel)"),
    "data.randaugment": count(
        None, "RandAugment operations per picture; unset: none", optional=True
    ),
    "data.randaugment_magnitude": number(
        None, "strength of RandAugment, 0 to 1; unset: 0.3", most=1, optional=True
    ),
    "data.mixup": number(None, "alpha of MixUp; unset: none", above=0, optional=True),
    "data.cutmix": number(None, "alpha of CutMix; unset: none", above=0, optional=True),
    "data.remainder": choice(
        "drop", "what to do with an epoch's last, smaller batch", "drop", "keep"
    ),
    "data.validation": number(
        0.0, "share of the training images set aside for validation", below=1
    ),
    "finetune.frozen": Key(
        str,
        None,
        "layers not to train, by stage or name: stem,stage1",
        "names of stages or regular expressions on layers' names, with commas between them, such "
        "as stem,stage1",
        is_patterns,
        optional=True,
    ),
    "log.summaries_every": count(10, "updates between TensorBoard summaries"),
    "log.variables": flag(False, "write each variable's norm and C_m to variables.csv"),
    "log.gradient_noise_scale": flag(False, "measure it (needs micro-batches or replicas)"),
    "log.evaluate_every": count(1, "epochs between evaluations"),
    "log.checkpoint_every": count(1, "epochs between checkpoints"),
    "log.checkpoint_updates": count(None, "also save after this many updates", optional=True),
    "log.checkpoint_minutes": number(
        None, "also save after this many minutes", above=0, optional=True
    ),
    "log.checkpoints_kept": count(3, "how many checkpoints to keep, besides the best"),
    "log.on_save_error": choice(
        "stop", "what to do when a file of the run cannot be written", "stop", "continue"
    ),
}
_IN_MEMORY = {
    "data.downsample": count(1, "average squares of this many pixels a side into one"),
}
DATA = {
    **dict.fromkeys(catalog.NAMES, _IN_MEMORY),
    "pictures": {
        "data.source": Key(
            str,
            None,
            "folder or file of the pictures",
            "the path of a folder or file",
            is_path,
            optional=True,
        ),
        "data.size": count(
            224, "side of what the network sees, in pixels", paper="Data and models"
        ),
        "data.shorter": count(
            None, "shorter side before the evaluation crop; unset: 8/7 of size", optional=True
        ),
        "data.least_area": number(
            0.08, "least area of a random crop, as a share of the picture", above=0, most=1
        ),
        "data.flip": flag(True, "mirror half of the training pictures"),
        "data.antialias": flag(True, "shrink by means of all pixels; false: of 4, faster"),
        "data.label_offset": count(0, "label of the first class, as stored", least=0),
        "data.held_out": number(
            None,
            "share to test on if there is one split; unset: 0.2",
            above=0,
            below=1,
            optional=True,
        ),
        "data.on_error": choice(
            "stop", "what to do with a picture that cannot be read", "stop", "skip"
        ),
    },
}
ANY_DATA = {"data.name": choice("cifar10", "name of a data set, or pictures", *DATA)}
_NORMALIZATION = {
    "evaluation_statistics": choice(
        "precise",
        "evaluate with re-estimated or with moving statistics",
        "precise",
        "moving",
        paper="Ghost batch normalization",
    ),
    "evaluation_statistics_batches": count(
        None, "batches to re-estimate from; unset: a tenth of an epoch", optional=True
    ),
    "model.normalization": choice(
        "ghost", "statistics of ghost batches, or of the whole batch", "ghost", "batch"
    ),
    "model.ghost_batch_size": count(
        32, "images normalized together (normalization=ghost)", paper="Ghost batch normalization"
    ),
    "model.bn_momentum": number(0.9, "weight of the old value in moving statistics", below=1),
    "model.bn_epsilon": number(1e-5, "added to the variance", above=0),
    "model.frozen": choice(
        "none",
        "normalization parameters that the network goes without",
        "none",
        "beta",
        "gamma",
        "bn",
    ),
}
_RESIDUAL = {
    **_NORMALIZATION,
    "model.zero_last_gamma": flag(False, "start the last gamma of each block at 0"),
}
MODELS = {
    "resnet18": {
        **_RESIDUAL,
        "model.stem": choice(
            "cifar",
            "a 3x3 convolution, or a 7x7 of stride 2 and a pool",
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
    "model.logits_initializer": choice(
        "fan_in", "initializer of the last dense kernel", "fan_in", "fan_out"
    ),
}
_MOMENTS = {
    "optimizer.beta_1": number(0.9, "decay of the first moment", below=1, paper="The optimizer"),
    "optimizer.beta_2": number(0.999, "decay of the second moment", below=1, paper="The optimizer"),
}
_ADAPTATION = {
    "optimizer.layer_adaptation": choice(
        "kernels", "which variables have a trust ratio of their own", "kernels", "all", "decayed"
    ),
}
_NESTEROV = {"optimizer.nesterov": flag(False, "Nesterov's momentum")}
OPTIMIZERS = {
    "lamb": {
        **_MOMENTS,
        "optimizer.epsilon": number(
            1e-6, "added to the root of the second moment", paper="The optimizer"
        ),
        "optimizer.bias_correction": flag(True, "divide the moments by 1 - beta^t"),
        **_ADAPTATION,
        "optimizer.trust_clip": number(
            None, "largest trust ratio; unset: no limit", above=0, optional=True
        ),
        "optimizer.decay_in_ratio": flag(True, "let the trust ratio scale the decay too"),
    },
    "lars": {
        "optimizer.momentum": number(0.9, "momentum, with the learning rate inside it", below=1),
        **_NESTEROV,
        "optimizer.epsilon": number(0.0, "added to the denominator of the trust ratio"),
        **_ADAPTATION,
        "optimizer.trust_coefficient": number(0.001, "factor of the trust ratio", above=0),
    },
    "adamw": {
        **_MOMENTS,
        "optimizer.epsilon": number(1e-8, "added to the root of the second moment"),
    },
    "sgd": {
        "optimizer.momentum": number(0.9, "momentum", below=1),
        **_NESTEROV,
        "optimizer.coupled": flag(True, "let the decay go through the momentum (L2)"),
    },
}
ANY_OPTIMIZER = {
    "optimizer.name": choice("lamb", "the optimizer", *OPTIMIZERS),
    "optimizer.global_clipnorm": number(
        None, "largest norm of the whole gradient; unset: no limit", above=0, optional=True
    ),
    "optimizer.skip_nonfinite": flag(True, "skip an update whose gradient is not finite"),
    "optimizer.rate_multipliers": Key(
        str,
        None,
        "multiply rates by role or path: gamma=0.5,head/.*=2",
        "numbers >= 0 by role (kernel, bias, gamma, beta, other) or regular expression on the "
        "path, such as gamma=0.5,head/.*=2",
        is_by_role_or_path,
        optional=True,
    ),
}
SCHEDULES = {
    "polynomial": {
        "learning_rate.peak": number(
            None, "largest rate; unset: base_peak sqrt(batch_size/base_batch)", optional=True
        ),
        "learning_rate.base_peak": number(0.04, "peak rate at base_batch", paper="appendix A.2"),
        "learning_rate.base_batch": count(
            8192, "batch at which base_peak is the peak", paper="appendix A.2"
        ),
        "learning_rate.warmup": number(
            0.3, "share of all updates that the warm-up takes", most=1, paper="appendix A.1"
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
ANY_SCHEDULE = {"learning_rate.schedule": choice("polynomial", "shape of the schedule", *SCHEDULES)}
_WEIGHT = 0.01  # w


def _decay(default, whose, paper=""):
    return number(default, f"decay of {whose}", paper=paper)


def _by_role(bias, gamma):
    """The decays of kernels, of biases other than beta, and of gamma.

    Algorithm 1 decays the biases of convolutions and dense layers like the kernels. The policies
    that it does not cover leave these biases alone.
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
    "bias": {**_KERNEL, "decay.bias": _decay(1.0, "all biases, beta among them")},
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
        "decay.unpaired": _decay(0.0, "a beta without a gamma"),
        "decay.source": choice(
            "update", "what decides: each update, or a probe batch", "update", "probe"
        ),
        "decay.probe_every": count(0, "updates between decisions (source=probe)", least=0),
        "decay.probe_examples": count(0, "images of the probe batch (source=probe)", least=0),
    },
}
ANY_POLICY = {"decay.policy": choice("adaptive", "which variables decay", *POLICIES)}
