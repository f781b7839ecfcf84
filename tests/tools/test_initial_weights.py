"""tools/reproducing/initial_weights.py gives the TensorFlow path's weights without it."""

import keras
import numpy as np
import pytest

from tf_bdecay import models
from tf_bdecay.errors import BadInput
from tools.reproducing import initial_weights


def make(seed):
    keras.utils.set_random_seed(seed)
    return models.build("resnet18", num_classes=10, input_shape=(8, 8, 1), width=4)


def test_the_weights_of_a_network_are_those_of_tensorflow():
    theirs = make(3)
    with initial_weights.of_tensorflow():
        ours = make(3)
    initial_weights.check(ours)
    assert len(ours.weights) > 60
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6, err_msg=a.path)
    other = make(4).weights[0].numpy()
    assert not np.allclose(other, theirs.weights[0].numpy())


def test_weights_that_are_drawn_otherwise_are_refused():
    plain = keras.layers.Dense(3, kernel_initializer="random_normal", name="plain")
    model = keras.Sequential([keras.Input((2,)), plain])
    with pytest.raises(BadInput, match="'plain', a Dense, are not known"):
        initial_weights.check(model)
    cut = keras.initializers.VarianceScaling(1.0, "fan_in", "truncated_normal")
    with initial_weights.of_tensorflow(), pytest.raises(BadInput, match="untruncated"):
        cut((2, 3))
