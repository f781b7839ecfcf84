"""Settings in which LAMB means the same everywhere, and the parameters and gradients to run.

Decay inside the trust ratio, bias correction, ratio 1 where a norm is 0: that is LAMB of this
project with a fixed policy, of TensorFlow Addons, timm and optax. Needs NumPy only.
"""

import numpy as np

RATE = float(np.float32(0.01))  # Keras keeps rates in float32: the same number for all
UPDATES = 10
SHAPES = {
    "conv/kernel": (3, 3, 4, 8),
    "conv/bias": (8,),
    "norm/gamma": (8,),
    "norm/beta": (8,),
    "wide/kernel": (90, 70),
    "wide/bias": (70,),
    "embedding/embeddings": (20, 6),
}
# name: (policy's arguments, layer_adaptation), in this project's terms
CASES = {
    "no decay, all adapted": (("none", {}), "all"),
    "full decay 0.01, all adapted": (("full", {"weight": 0.01}), "all"),
    "full decay 1.0, all adapted": (("full", {"weight": 1.0}), "all"),
    "no bias decay 0.01, all adapted": (("no_bias", {"kernel": 0.01}), "all"),
    "no bias decay 1.0, kernels adapted": (("no_bias", {"kernel": 1.0}), "kernels"),
}
NO_KERNELS = ("bias", "gamma", "beta")


def arrays(seed=0):
    """Parameters by path, and gradients by path with the updates along the first axis.

    Biases and beta start at 0, where the trust ratio is a matter of definition.
    """
    rng = np.random.default_rng(seed)
    starts_at = {"gamma": 1.0, "beta": 0.0, "bias": 0.0}
    parameters, gradients = {}, {}
    for path, shape in SHAPES.items():
        leaf = path.split("/")[-1]
        drawn = 0.3 * rng.normal(size=shape)
        parameters[path] = np.full(shape, starts_at[leaf]) if leaf in starts_at else drawn
        scale = 10.0 ** rng.uniform(-3, 1)
        gradients[path] = scale * rng.normal(size=(UPDATES, *shape))
    gradients["conv/bias"][0] = 0.0  # zero gradient and zero parameter at the first update
    return parameters, gradients


def weight(case):
    """The coefficient of decay of a case; 0 for none."""
    (_, arguments), _ = CASES[case]
    return next(iter(arguments.values()), 0.0)


def excluded(case):
    """Leaf names without decay, and those without a trust ratio of their own."""
    (policy, _), adaptation = CASES[case]
    without_decay = NO_KERNELS if policy == "no_bias" else ()
    return without_decay, NO_KERNELS if adaptation == "kernels" else ()


def write(path, changes):
    """Writes the changes of all cases in both precisions: "dtype|case|path" in an npz file.

    Args:
        path: of the file.
        changes: function of case and dtype: dict of a parameter's path to its change.
    """
    results = {}
    for dtype in ("float64", "float32"):
        for case in CASES:
            for name, change in changes(case, dtype).items():
                results[f"{dtype}|{case}|{name}"] = change
    np.savez(path, **results)


def largest_difference(ours, theirs):
    """Difference of two changes of theta over the largest change, the worst of all variables."""
    return max(
        np.abs(ours[path] - theirs[path]).max() / np.abs(theirs[path]).max() for path in theirs
    )
