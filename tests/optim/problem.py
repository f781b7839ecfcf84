"""Variables like those of a network, with gradients for which decay switches both ways."""

import functools

import keras
import numpy as np

SHAPES = {
    "conv/kernel": (3, 3, 2, 4),
    "conv/bias": (4,),
    "norm/gamma": (4,),
    "norm/beta": (4,),
    "wide/kernel": (40, 130),  # more than a pack holds
    "wide_norm/gamma": (130,),
    "wide_norm/beta": (130,),
    "head/kernel": (5, 3),
    "head/bias": (3,),
}
PAIRS = ("norm", "wide_norm")


def initial(seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    thetas = {k: 0.3 * scale * rng.normal(size=s) for k, s in SHAPES.items()}
    thetas["norm/gamma"], thetas["wide_norm/gamma"] = np.ones(4), np.ones(130)
    return thetas


def gradients(steps, seed=1, scale=1.0):
    """A dict a step; beta's gradients come and go, so that r crosses 0.1 in both directions.

    They lean one way, as in training, so that the change of theta stands clear of its rounding.
    """
    rng = np.random.default_rng(seed)
    lean = {k: rng.normal(size=s) for k, s in SHAPES.items()}
    result = []
    for t in range(steps):
        g = {k: scale * (lean[k] + 0.3 * rng.normal(size=s)) for k, s in SHAPES.items()}
        for n, pair in enumerate(PAIRS):
            g[f"{pair}/beta"] *= 10.0 if (t + n) % 3 == 0 else 1e-3
        result.append(g)
    return result


def make_variables(thetas, dtype="float32"):
    """Keras variables with these paths and values."""
    variables = []
    for path, value in thetas.items():
        prefix, leaf = path.rsplit("/", 1)
        with keras.name_scope(prefix):
            variables.append(keras.Variable(np.asarray(value, dtype), dtype=dtype, name=leaf))
    return variables


def values(variables):
    return [np.array(keras.ops.convert_to_numpy(v), "float64") for v in variables]


def apply(optimizer, variables, gradient):
    """One update from a dict of gradients, as `fit` does it under either backend."""
    tensors = [
        keras.ops.convert_to_tensor(np.asarray(g, v.dtype))
        for g, v in zip(gradient.values(), variables, strict=True)
    ]
    if keras.backend.backend() != "jax":
        optimizer.apply(tensors, variables)
        return
    if not optimizer.built:
        optimizer.build(variables)
    new, state = _jitted(optimizer)(
        [v.value for v in optimizer.variables], tensors, [v.value for v in variables]
    )
    for v, value in zip([*variables, *optimizer.variables], [*new, *state], strict=True):
        v.assign(value)


@functools.lru_cache(maxsize=4)
def _jitted(optimizer):
    import jax

    return jax.jit(optimizer.stateless_apply)


def relative_error(change, expected):
    """Largest error over variables of the change of theta, relative to the change's norm."""
    return max(
        np.linalg.norm(c - e) / max(np.linalg.norm(e), 1e-300)
        for c, e in zip(change, expected, strict=True)
    )
