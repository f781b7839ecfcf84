"""All optimizers, each with all its ways through an update, for the tests of what they share."""

import tf_bdecay
from tf_bdecay import decay

ADAPTIVE = decay.AdaptiveBetaDecay(kernel=0.05, beta=1.0, threshold=0.1)

# Name -> (class, arguments); a new optimizer is a row here.
OPTIMIZERS = {
    "lamb": (tf_bdecay.Lamb, {}),
    "lamb, all adapted": (tf_bdecay.Lamb, {"layer_adaptation": "all", "trust_clip": 10.0}),
    "lamb, uncorrected": (tf_bdecay.Lamb, {"bias_correction": False}),
    "lamb, decay outside": (tf_bdecay.Lamb, {"decay_in_ratio": False}),
    "sgd": (tf_bdecay.SGD, {}),
    "sgd, nesterov, decoupled": (tf_bdecay.SGD, {"nesterov": True, "coupled": False}),
    "adamw": (tf_bdecay.AdamW, {}),
    "lars": (tf_bdecay.Lars, {"trust_coefficient": 0.1}),
}
# The rows that `make test` runs: each property takes every row seconds, of tracing and compiling.
ALWAYS = ("lamb", "sgd")
CLASSES = ("lars", "sgd", "lamb", "adamw")  # a row of each


def make(name, learning_rate=0.01, weight_decay=ADAPTIVE, **arguments):
    """The optimizer of a row, with more arguments."""
    cls, of_row = OPTIMIZERS[name]
    return cls(
        learning_rate,
        **{"weight_decay": weight_decay, "compile_update": False, **of_row, **arguments},
    )
