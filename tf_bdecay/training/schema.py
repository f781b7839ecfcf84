"""What a config may say: every key with its type, range and meaning.

Which keys there are depends on four choices: model, optimizer, schedule, decay policy.
"""

import dataclasses
import math
import numbers
from collections.abc import Callable

from tf_bdecay.errors import require, unknown

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a config.

    Attributes:
        kind: int, float, bool or str.
        doc: what it means, for `--help`.
        must: the values that are right, in words, where the type does not say it all.
        allows: whether a value of the right type is right.
        optional: whether None, for "not set", is right.
        choices: the names that are right, for a str.
    """

    kind: type
    doc: str
    must: str = ""
    allows: Callable = lambda value: True
    optional: bool = False
    choices: tuple = ()

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
            value, numbers.Real if self.kind is float else self.kind
        )
        require(
            right and self.allows(value),
            f"config.{path} must be {self.right}. Received: {value!r}",
        )


def _count(doc, least=1, optional=False):
    return Key(int, doc, f"a whole number >= {least}", lambda v: v >= least, optional)


def _number(doc, least=0.0, most=math.inf, below=math.inf, above=-math.inf, optional=False):
    """A number with least <= value <= most and above < value < below, never NaN."""
    must = "a number > 0" if above == 0 else f"a finite number >= {least:g}"
    must += f" and <= {most:g}" if most < math.inf else ""
    must += f" and < {below:g}" if below < math.inf else ""

    def allows(value):
        return least <= value <= most and above < value < below

    return Key(float, doc, must, allows, optional)


def _flag(doc):
    return Key(bool, doc)


def _choice(doc, *names):
    return Key(str, doc, f"one of {', '.join(names)}", choices=names)


def _decay(whose):
    return _number(f"decay of {whose}")


_ALWAYS = {
    "experiment": Key(str, "the experiment's name", "a word without '/'", lambda v: "/" not in v),
    "variant": Key(str, "the variant of its config file", "a word", lambda v: "/" not in v),
    "seed": Key(
        int,
        "of initial weights, order, augmentation and split",
        "in [0, 2^31)",
        lambda v: 0 <= v < 2**31,
    ),
    "epochs": _count("passes over the training images"),
    "batch_size": _count("global batch of one update, in images"),
    "micro_batch_size": _count("images a replica works on at a time; unset: all", optional=True),
    "evaluation_batch_size": _count("images an evaluation step"),
    "precision": _choice("what layers compute in", "float32", "mixed_bfloat16", "mixed_float16"),
    "label_smoothing": _number("share of the target spread over all classes", below=1),
    "max_skipped_updates": _count("non-finite updates in a row after which the run stops"),
    "steps_per_execution": _count("updates a call of Keras; divides an epoch's"),
    "jit_compile": _flag("XLA compiles the whole train step (no strategy)"),
    "data.name": _choice("the data set", "digits", "cifar10", "cifar100"),
    "data.augment": _flag("crop and flip (CIFAR), shift by a pixel (digits)"),
    "data.remainder": _choice("an epoch's last, smaller batch", "drop", "keep"),
    "data.validation": _number("share of the training images set aside", below=1),
    "log.summaries_every": _count("updates between TensorBoard summaries"),
    "log.evaluate_every": _count("epochs between evaluations"),
    "log.checkpoint_every": _count("epochs between checkpoints"),
    "log.checkpoint_updates": _count("updates between checkpoints, too", optional=True),
    "log.checkpoint_minutes": _number("minutes between checkpoints, too", above=0, optional=True),
    "log.checkpoints_kept": _count("newest checkpoints kept, besides the best"),
    "log.on_save_error": _choice("where a file of the run cannot be written", "stop", "continue"),
    "model.name": _choice("the network", "resnet18", "vgg11", "vgg19_bn"),
    "model.width": _count("channels of the first stage"),
    "model.logits_initializer": _choice("of the last dense kernel", "fan_in", "fan_out"),
}
_NORMALIZATION = {
    "model.normalization": _choice("ghost or whole-batch statistics", "ghost", "batch"),
    "model.ghost_batch_size": _count("images normalised together (normalization=ghost)"),
    "model.bn_momentum": _number("share of the old moving statistics", below=1),
    "model.bn_epsilon": _number("added to the variance", above=0),
    "model.frozen": _choice("parameters left out", "none", "beta", "gamma", "bn"),
}
MODELS = {
    "resnet18": {
        **_NORMALIZATION,
        "model.zero_last_gamma": _flag("start each block's last gamma at 0"),
    },
    "vgg11": {},
    "vgg19_bn": _NORMALIZATION,
}
_OPTIMIZER = {
    "optimizer.name": _choice("the optimizer", "lamb", "sgd"),
    "optimizer.global_clipnorm": _number("limit of the gradient's norm", above=0, optional=True),
    "optimizer.skip_nonfinite": _flag("skip an update whose gradient is not finite"),
}
OPTIMIZERS = {
    "lamb": {
        "optimizer.beta_1": _number("decay of the first moment", below=1),
        "optimizer.beta_2": _number("decay of the second moment", below=1),
        "optimizer.epsilon": _number("added to the root of the second moment"),
        "optimizer.bias_correction": _flag("divide moments by 1 - beta^t"),
        "optimizer.layer_adaptation": _choice(
            "variables with a trust ratio of their own", "kernels", "all", "decayed"
        ),
        "optimizer.trust_clip": _number("largest trust ratio", above=0, optional=True),
    },
    "sgd": {
        "optimizer.momentum": _number("of SGD", below=1),
        "optimizer.nesterov": _flag("Nesterov's momentum"),
        "optimizer.coupled": _flag("decay goes through the momentum (L2)"),
    },
}
_SCHEDULE = {"learning_rate.schedule": _choice("its shape", "polynomial", "cosine")}
SCHEDULES = {
    "polynomial": {
        "learning_rate.peak": _number(
            "unset: base_peak sqrt(batch_size/base_batch)", optional=True
        ),
        "learning_rate.base_peak": _number("peak rate at base_batch"),
        "learning_rate.base_batch": _count("batch at which base_peak is the peak"),
        "learning_rate.warmup": _number("share of all updates that warm up", most=1),
        "learning_rate.power_warmup": _number("exponent of the warm-up"),
        "learning_rate.power_decay": _number("exponent of the decay"),
        "learning_rate.initial": _number("rate of the first update"),
        "learning_rate.final": _number("rate after the last update"),
    },
    "cosine": {
        "learning_rate.peak": _number("largest rate, at every batch size"),
        "learning_rate.warmup_epochs": _count("epochs of linear warm-up", least=0),
    },
}
_KERNEL = {"decay.kernel": _decay("kernels")}
_BY_ROLE = {
    **_KERNEL,
    "decay.bias": _decay("biases of convolutions and dense layers"),
    "decay.gamma": _decay("gamma"),
}
POLICIES = {
    "none": {},
    "full": {"decay.weight": _decay("every variable")},
    "no_bias": _KERNEL,
    "bias": {**_KERNEL, "decay.bias": _decay("biases, and of beta")},
    "gamma": _BY_ROLE,
    "beta": {**_BY_ROLE, "decay.beta": _decay("beta")},
    "adaptive": {
        **_BY_ROLE,
        "decay.beta": _decay("a beta that is switched on"),
        "decay.threshold": Key(
            float,
            "R: beta decays where r >= R; 0 always, inf never",
            "a number >= 0 (inf: never decay)",
            lambda v: v >= 0,
        ),
        "decay.unpaired": _decay("a beta that has no gamma"),
        "decay.source": _choice("what decides: each update, or a probe batch", "update", "probe"),
        "decay.probe_every": _count("updates between decisions (source=probe)", least=0),
        "decay.probe_examples": _count("images of the probe batch (source=probe)", least=0),
    },
}
_POLICY = {"decay.policy": _choice("which variables decay", *POLICIES)}

# What is chosen, the keys of every choice, and those of each.
CHOICES = {
    "model.name": ({}, MODELS),
    "optimizer.name": (_OPTIMIZER, OPTIMIZERS),
    "learning_rate.schedule": (_SCHEDULE, SCHEDULES),
    "decay.policy": (_POLICY, POLICIES),
}


def keys(flat):
    """The keys that a config of this model, optimizer, schedule and policy has.

    Args:
        flat: dict of dotted path to value.

    Returns:
        Dict of dotted path to `Key`.

    Raises:
        BadInput: one of these four names is missing or unknown.
    """
    table = dict(_ALWAYS)
    for path, (shared, branches) in CHOICES.items():
        table.update(shared)
        require(path in flat, f"The config lacks {path!r}.")
        table[path].check(path, flat[path])
        table.update(branches[flat[path]])
    return table
