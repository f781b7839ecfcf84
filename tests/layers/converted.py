"""Helpers with which the tests of ghostify compare a model and its copy."""

import keras
import numpy as np
from keras import ops


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).normal(0.5, 2.0, shape).astype("float32")


def away_from_start(model):
    """The model, all of its weights other than fresh ones are."""
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape).astype(w.dtype) for w in model.weights])
    return model


def called(model, x):
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=False))]


def same_bits(model, copy, x):
    pairs = zip(called(model, x), called(copy, x), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)
