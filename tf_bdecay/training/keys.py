"""The one table of what a config may say: every key with its default, type, range and meaning.

Which keys there are depends on five choices: data, model, optimizer, schedule, decay policy. From
the table come the ConfigDict that a config file starts from (`defaults`), the checks
(`config.check`), the page of `--help`, and docs/config.md (tools/config_page.py).

What the paper leaves unstated is here too, as a key with a recorded default: label smoothing,
gradient and trust-ratio clipping, momentum and epsilon of batch normalization, a zero-initialised
last gamma, the initial logits, bias decay of convolutions and dense layers.
"""

import dataclasses
import math
import struct
from collections.abc import Callable

from ml_collections import ConfigDict, config_dict

from tf_bdecay import patterns
from tf_bdecay.errors import BadInput, require, shown, unknown

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a config.

    Attributes:
        kind: int, float, bool or str.
        default: the value that a config file starts from; None for "not set".
        doc: what it means, for `--help`.
        must: the values that are right, in words, where the type does not say it all.
        allows: whether a value of the right type is right.
        optional: whether None, for "not set", is right.
        choices: the names that are right, for a str.
        paper: where the paper states the default, or what section of docs/method.md
            has it; "" where the paper is silent.
    """

    kind: type
    default: object
    doc: str
    must: str = ""
    allows: Callable = lambda value: True
    optional: bool = False
    choices: tuple = ()
    paper: str = ""

    @property
    def right(self):
        """The values that are right, in words."""
        return self.must or _KINDS[self.kind]

    def check(self, path, value):
        """Raises `BadInput` unless the value is right."""
        if value is None and self.optional:
            return
        if self.choices and isinstance(value, str):
            if value not in self.choices:
                raise unknown(f"value of config.{path}", value, self.choices)
            return
        right = isinstance(value, bool) == (self.kind is bool) and isinstance(
            value, (int, float) if self.kind is float else self.kind
        )
        require(
            right and self.allows(value),
            f"config.{path} must be {self.right}. Received: {shown(value)}",
        )


def single(value):
    """A number as float32 has it; NaN where float32 has it not."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.nan


def _is_name(value):
    """Whether a name can be a part of a folder's, and is one."""
    return (
        0 < len(value) <= 100 and value.isprintable() and "/" not in value and bool(value.strip())
    )


def _is_by_role_or_path(value):
    """Whether text is numbers by role or path, as `patterns.parse` takes it."""
    try:
        return bool(patterns.parse(value, "rate_multipliers", "a config"))
    except BadInput:
        return False


def _is_path(value):
    return bool(value.strip()) and "\0" not in value


def _is_patterns(value):
    """Whether text is regular expressions with commas between them."""
    try:
        for pattern in value.split(","):
            patterns.check(pattern.strip(), "a config")
    except BadInput:
        return False
    return all(pattern.strip() for pattern in value.split(","))


_NAME = "a word without '/', of at most 100 characters"


def _count(default, doc, least=1, optional=False, paper="", most=2**31 - 1):
    must = f"a whole number >= {least}" + (
        f" and <= {most}" if most < 2**31 - 1 else ", below 2^31"
    )
    return Key(int, default, doc, must, lambda v: least <= v <= most, optional, paper=paper)


def _number(
    default,
    doc,
    least=0.0,
    most=math.inf,
    below=math.inf,
    above=-math.inf,
    optional=False,
    paper="",
):
    """A number with least <= value <= most and above < value < below, in float32 too; never NaN."""
    must = "a number > 0" if above == 0 else f"a finite number >= {least:g}"
    must += f" and <= {most:g}" if most < math.inf else ""
    must += f" and < {below:g}" if below < math.inf else ""
    must += ", in float32"

    def allows(value):
        return all(
            least <= number <= most and above < number < below for number in (value, single(value))
        )

    return Key(float, default, doc, must, allows, optional, paper=paper)


def _flag(default, doc):
    return Key(bool, default, doc)


def _choice(default, doc, *names, paper=""):
    must = f"one of {', '.join(names)}"
    return Key(str, default, doc, must, choices=names, paper=paper)


ALWAYS = {
    "experiment": Key(str, "unnamed", "the experiment's name", _NAME, _is_name),
    "variant": Key(str, "unnamed", "the variant of its config file", _NAME, _is_name),
    "seed": Key(
        int,
        0,
        "of initial weights, order, augmentation and split",
        "in [0, 2^31)",
        lambda v: 0 <= v < 2**31,
    ),
    "epochs": _count(
        200, "passes over the training images", paper="Data and models", most=1_000_000
    ),
    "batch_size": _count(8192, "global batch of one update, in images", paper="Table 3"),
    "micro_batch_size": _count(
        None, "images a replica works on at a time; unset: all", optional=True
    ),
    "evaluation_batch_size": _count(1000, "images an evaluation step"),
    "precision": _choice(
        "float32", "what layers compute in", "float32", "mixed_bfloat16", "mixed_float16"
    ),
    "label_smoothing": _number(0.0, "share of the target spread over all classes", below=1),
    "sharpness_aware.kind": _choice(
        "none", "gradient at the worst point near the weights", "none", "sam", "asam"
    ),
    "sharpness_aware.rho": _number(
        None, "how near; unset: 0.05 (sam), 0.5 (asam)", above=0, optional=True
    ),
    "sharpness_aware.eta": _number(
        None, "asam's, added to |theta|; unset: 0.01", above=0, optional=True
    ),
    "ema.momentum": _number(
        None,
        "of an average of the weights, evaluated beside them",
        below=1,
        optional=True,
    ),
    "max_skipped_updates": _count(10, "non-finite updates in a row after which the run stops"),
    "steps_per_execution": _count(1, "updates a call of Keras; divides an epoch's"),
    "jit_compile": _flag(False, "XLA compiles the whole train step (no strategy)"),
    "data.images": _count(
        None, "images of a fixed permutation to train on; unset: all", optional=True
    ),
    "data.augment": _flag(True, "random crops and flips; shifts by a pixel (digits)"),
    "data.remainder": _choice("drop", "an epoch's last, smaller batch", "drop", "keep"),
    "data.validation": _number(0.0, "share of the training images set aside", below=1),
    "finetune.frozen": Key(
        str,
        None,
        "layers that are not trained, by stage or name: stem,stage1",
        "names of stages or regular expressions on layers' names, with commas between them, such "
        "as stem,stage1",
        _is_patterns,
        optional=True,
    ),
    "log.summaries_every": _count(10, "updates between TensorBoard summaries"),
    "log.variables": _flag(False, "norm and C_m of every variable by epoch, in variables.csv"),
    "log.evaluate_every": _count(1, "epochs between evaluations"),
    "log.checkpoint_every": _count(1, "epochs between checkpoints"),
    "log.checkpoint_updates": _count(None, "updates between checkpoints, too", optional=True),
    "log.checkpoint_minutes": _number(
        None, "minutes between checkpoints, too", above=0, optional=True
    ),
    "log.checkpoints_kept": _count(3, "newest checkpoints kept, besides the best"),
    "log.on_save_error": _choice(
        "stop", "where a file of the run cannot be written", "stop", "continue"
    ),
    "model.name": _choice(
        "resnet18", "the network", "resnet18", "resnet50", "resnet50_d", "vgg11", "vgg19_bn"
    ),
    "model.width": _count(64, "channels of the first stage"),
    "model.logits_initializer": _choice("fan_in", "of the last dense kernel", "fan_in", "fan_out"),
}
_DATA = {
    "data.name": _choice(
        "cifar10", "a known set, or pictures", "digits", "cifar10", "cifar100", "pictures"
    ),
}
_IN_MEMORY = {
    "data.downsample": _count(1, "side of the squares of pixels whose mean is a pixel"),
}
DATA = {
    "digits": _IN_MEMORY,
    "cifar10": _IN_MEMORY,
    "cifar100": _IN_MEMORY,
    "pictures": {
        "data.source": Key(
            str,
            None,
            "folder or file that has the pictures",
            "the path of a folder or file",
            _is_path,
            optional=True,
        ),
        "data.size": _count(224, "pixels a side that the network sees", paper="Data and models"),
        "data.shorter": _count(
            None, "shorter side before evaluation cuts; unset: 8/7 of size", optional=True
        ),
        "data.least_area": _number(
            0.08, "share of the area that a random crop has at least", above=0, most=1
        ),
        "data.flip": _flag(True, "mirror half of the training pictures"),
        "data.label_offset": _count(0, "the first class's label, as stored", least=0),
        "data.held_out": _number(
            None,
            "share to test on where there is one split; unset: 0.2",
            above=0,
            below=1,
            optional=True,
        ),
        "data.on_error": _choice("stop", "at a picture that cannot be read", "stop", "skip"),
    },
}
_NORMALIZATION = {
    "evaluation_statistics": _choice(
        "precise",
        "statistics in evaluations: re-estimated or moving",
        "precise",
        "moving",
        paper="Ghost batch normalization",
    ),
    "evaluation_statistics_batches": _count(
        None,
        "batches they are from; unset: a tenth of an epoch",
        optional=True,
    ),
    "model.normalization": _choice("ghost", "ghost or whole-batch statistics", "ghost", "batch"),
    "model.ghost_batch_size": _count(
        32,
        "images normalised together (normalization=ghost)",
        paper="Ghost batch normalization",
    ),
    "model.bn_momentum": _number(0.9, "share of the old moving statistics", below=1),
    "model.bn_epsilon": _number(1e-5, "added to the variance", above=0),
    "model.frozen": _choice("none", "parameters left out", "none", "beta", "gamma", "bn"),
}
_RESIDUAL = {
    **_NORMALIZATION,
    "model.zero_last_gamma": _flag(False, "start each block's last gamma at 0"),
}
MODELS = {
    "resnet18": {
        **_RESIDUAL,
        "model.stem": _choice(
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
_OPTIMIZER = {
    "optimizer.name": _choice("lamb", "the optimizer", "lamb", "lars", "adamw", "sgd"),
    "optimizer.global_clipnorm": _number(
        None, "limit of the gradient's norm", above=0, optional=True
    ),
    "optimizer.skip_nonfinite": _flag(True, "skip an update whose gradient is not finite"),
    "optimizer.rate_multipliers": Key(
        str,
        None,
        "of the rate by role or path: gamma=0.5,head/.*=2",
        "numbers >= 0 by role (kernel, bias, gamma, beta, other) or regular expression on the "
        "path, such as gamma=0.5,head/.*=2",
        _is_by_role_or_path,
        optional=True,
    ),
}
_MOMENTS = {
    "optimizer.beta_1": _number(0.9, "decay of the first moment", below=1, paper="The optimizer"),
    "optimizer.beta_2": _number(
        0.999, "decay of the second moment", below=1, paper="The optimizer"
    ),
}
_ADAPTATION = {
    "optimizer.layer_adaptation": _choice(
        "kernels", "variables with a trust ratio of their own", "kernels", "all", "decayed"
    ),
}
_NESTEROV = {"optimizer.nesterov": _flag(False, "Nesterov's momentum")}
OPTIMIZERS = {
    "lamb": {
        **_MOMENTS,
        "optimizer.epsilon": _number(
            1e-6, "added to the root of the second moment", paper="The optimizer"
        ),
        "optimizer.bias_correction": _flag(True, "divide moments by 1 - beta^t"),
        **_ADAPTATION,
        "optimizer.trust_clip": _number(None, "largest trust ratio", above=0, optional=True),
    },
    "lars": {
        "optimizer.momentum": _number(0.9, "of LARS, the rate inside it", below=1),
        **_NESTEROV,
        "optimizer.epsilon": _number(0.0, "added to the denominator of the trust ratio"),
        **_ADAPTATION,
        "optimizer.trust_coefficient": _number(0.001, "of the trust ratio", above=0),
    },
    "adamw": {
        **_MOMENTS,
        "optimizer.epsilon": _number(1e-8, "added to the root of the second moment"),
    },
    "sgd": {
        "optimizer.momentum": _number(0.9, "of SGD", below=1),
        **_NESTEROV,
        "optimizer.coupled": _flag(True, "decay goes through the momentum (L2)"),
    },
}
_SCHEDULE = {"learning_rate.schedule": _choice("polynomial", "its shape", "polynomial", "cosine")}
SCHEDULES = {
    "polynomial": {
        "learning_rate.peak": _number(
            None, "unset: base_peak sqrt(batch_size/base_batch)", optional=True
        ),
        "learning_rate.base_peak": _number(0.04, "peak rate at base_batch", paper="appendix A.2"),
        "learning_rate.base_batch": _count(
            8192, "batch at which base_peak is the peak", paper="appendix A.2"
        ),
        "learning_rate.warmup": _number(
            0.3, "share of all updates that warm up", most=1, paper="appendix A.1"
        ),
        "learning_rate.power_warmup": _number(2.0, "exponent of the warm-up", paper="appendix A.1"),
        "learning_rate.power_decay": _number(2.0, "exponent of the decay", paper="appendix A.1"),
        "learning_rate.initial": _number(0.0, "rate of the first update"),
        "learning_rate.final": _number(0.0, "rate after the last update"),
    },
    "cosine": {
        "learning_rate.peak": _number(0.1, "largest rate, at every batch size"),
        "learning_rate.warmup_epochs": _count(
            10, "epochs of linear warm-up", least=0, paper="appendix A.1"
        ),
    },
}
_WEIGHT = 0.01  # w


def _decay(default, whose, paper=""):
    return _number(default, f"decay of {whose}", paper=paper)


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
        "decay.source": _choice(
            "update", "what decides: each update, or a probe batch", "update", "probe"
        ),
        "decay.probe_every": _count(0, "updates between decisions (source=probe)", least=0),
        "decay.probe_examples": _count(0, "images of the probe batch (source=probe)", least=0),
    },
}
_POLICY = {"decay.policy": _choice("adaptive", "which variables decay", *POLICIES)}

# What is chosen, the keys of every choice, and those of each.
CHOICES = {
    "data.name": (_DATA, DATA),
    "model.name": ({}, MODELS),
    "optimizer.name": (_OPTIMIZER, OPTIMIZERS),
    "learning_rate.schedule": (_SCHEDULE, SCHEDULES),
    "decay.policy": (_POLICY, POLICIES),
}


_CHOOSERS = {
    "data": "data.name",
    "model": "model.name",
    "optimizer": "optimizer.name",
    "schedule": "learning_rate.schedule",
    "policy": "decay.policy",
}


def table(flat):
    """The keys that a config of these data, model, optimizer, schedule and policy has.

    Args:
        flat: dict of dotted path to value.

    Returns:
        Dict of dotted path to `Key`.

    Raises:
        BadInput: one of these five names is missing or unknown.
    """
    found = dict(ALWAYS)
    for path, (shared, branches) in CHOICES.items():
        found.update(shared)
        require(path in flat, f"The config lacks {path!r}.")
        found[path].check(path, flat[path])
        found.update(branches[flat[path]])
    return found


def defaults(**chosen):
    """The ConfigDict that a config file starts from: every key of some choices at its default.

    Args:
        **chosen: `data`, `model`, `optimizer`, `schedule`, `policy`: names; the table's own by
            default.

    Returns:
        A ConfigDict with a section for each part of a dotted path but the last.

    Raises:
        BadInput: an unknown name.
    """
    always = {path: key.default for path, key in ALWAYS.items()}
    names = {path: shared[path] for path, (shared, _) in CHOICES.items() if path in shared}
    flat = {**always, **{path: key.default for path, key in names.items()}}
    flat.update({_CHOOSERS[what]: name for what, name in chosen.items()})
    config = {}
    for path, key in table(flat).items():
        *sections, name = path.split(".")
        section = config
        for part in sections:
            section = section.setdefault(part, {})
        value = flat.get(path, key.default)
        section[name] = config_dict.placeholder(key.kind) if value is None else value
    return ConfigDict(config)
