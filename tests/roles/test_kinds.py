"""The kinds of layers in Table 2, and layers that have none of them."""

import keras
import pytest
from keras import layers

from tf_bdecay.roles import KINDS, kinds_of, roles_of

pytestmark = pytest.mark.any_backend


def kinds(*parts, shape=(8, 8, 4)):
    model = keras.Sequential([keras.Input(shape), *parts])
    return kinds_of(model, roles_of(model))


def test_of_a_network_like_the_paper_s():
    found = kinds(
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    )
    assert found == ["Conv", "gamma", "beta", "FC(w)", "FC(b)"]


def test_of_a_convolution_with_a_bias_and_of_a_separable_one():
    found = kinds(layers.Conv2D(4, 3), layers.SeparableConv2D(4, 3))
    assert found == ["Conv", "Conv(b)", "Conv", "Conv", "Conv(b)"]


def test_of_a_dense_layer_by_another_name_and_of_what_table_2_has_not():
    found = kinds(
        layers.Embedding(5, 4),
        layers.EinsumDense("abc,cd->abd", (8, 4), bias_axes="d"),
        layers.PReLU(),
        shape=(8,),
    )
    assert found == ["other", "FC(w)", "FC(b)", "other"]


def test_the_order_is_the_one_of_the_tables():
    assert KINDS == ("Conv", "Conv(b)", "gamma", "beta", "FC(w)", "FC(b)", "other")


def test_of_variables_in_another_order_some_frozen_since():
    parts = [layers.Conv2D(4, 3, use_bias=False), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((8, 8, 4)), *parts])
    roles = roles_of(model.trainable_variables[::-1])
    parts[0].trainable = False
    assert kinds_of(model, roles) == ["FC(b)", "FC(w)", "Conv"]
