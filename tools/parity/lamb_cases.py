"""Cases in which all LAMB implementations agree, with parameters and gradients to run.

They have decay inside the trust ratio, bias correction, and a ratio of 1 where a norm is 0. This
package with a fixed policy, TensorFlow Addons, timm and optax all compute this. The module needs
NumPy only.
"""

import numpy as np

RATE = float(np.float32(0.01))  # Keras keeps rates in float32, so all get this number
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
# name: ((policy, its arguments), layer_adaptation), in this package's terms
CASES = {
    "no decay, all adapted": (("none", {}), "all"),
    "full decay 0.01, all adapted": (("full", {"weight": 0.01}), "all"),
    "full decay 1.0, all adapted": (("full", {"weight": 1.0}), "all"),
    "no bias decay 0.01, all adapted": (("no_bias", {"kernel": 0.01}), "all"),
    "no bias decay 1.0, kernels adapted": (("no_bias", {"kernel": 1.0}), "kernels"),
}
NO_KERNELS = ("bias", "gamma", "beta")


def arrays(seed=0):
    """Parameters by path, and gradients by path with one update per row of the first axis.

    Biases and beta start at 0, where the trust ratio depends on its definition.
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
    """The decay coefficient of a case; 0 for no decay."""
    (_, arguments), _ = CASES[case]
    return next(iter(arguments.values()), 0.0)


def excluded(case):
    """Leaf names of the variables without decay, and of those without a trust ratio."""
    (policy, _), adaptation = CASES[case]
    without_decay = NO_KERNELS if policy == "no_bias" else ()
    return without_decay, NO_KERNELS if adaptation == "kernels" else ()


def write(path, changes):
    """Writes the changes of all cases in both precisions to an npz file, as "dtype|case|path".

    Args:
        path: path of the file.
        changes: function of case and dtype that returns a dict of a parameter's path to its change.
    """
    results = {}
    for dtype in ("float64", "float32"):
        for case in CASES:
            for name, change in changes(case, dtype).items():
                results[f"{dtype}|{case}|{name}"] = change
    np.savez(path, **results)


def largest_difference(ours, theirs):
    """The difference of two changes of theta over the largest change; the worst variable's."""
    return max(
        np.abs(ours[path] - theirs[path]).max() / np.abs(theirs[path]).max() for path in theirs
    )
