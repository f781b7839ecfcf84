"""ghostify for subclassed models and layers, and its sentences on what it cannot convert."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tf_bdecay
from tests.layers.converted import away_from_start, pictures, same_bits
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of TensorFlow's"
)
Normalization = layers.BatchNormalization


class Own(keras.Model):
    """Made of inputs and outputs, with a way of its own to train."""

    def train_step(self, data):
        return super().train_step(data)


class Built(keras.Model):
    """Functional inside; what it is made of is its own."""

    def __init__(self, width, **kwargs):
        inputs = keras.Input((3,))
        super().__init__(inputs, Normalization()(layers.Dense(width)(inputs)), **kwargs)


class BuiltAndTrained(Built):
    def train_step(self, data):
        return super().train_step(data)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.norm = Normalization(name="inside")

    def call(self, x):
        return self.norm(x)


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = Normalization(name="inside")

    def call(self, x):
        return self.norm(x)


class OtherNormalization(Normalization):
    pass


class WithoutConfig(layers.Layer):
    def __init__(self, weights, **kwargs):
        super().__init__(**kwargs)
        self.given = ops.convert_to_tensor(weights)

    def call(self, x):
        return x * self.given


class Tied(layers.Layer):
    """Uses another layer's variables."""

    def __init__(self, other, **kwargs):
        super().__init__(**kwargs)
        self.other = other

    def call(self, x):
        return self.other(x)

    def get_config(self):
        return {
            **super().get_config(),
            "other": keras.saving.serialize_keras_object(self.other),
        }

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("other")), **config)


def sequence(*inside):
    return keras.Sequential([keras.Input((3,)), *inside, Normalization(name="outside")])


def test_classes_of_models():
    inputs = keras.Input((3,))
    own = Own(inputs, Normalization()(inputs))
    assert type(tf_bdecay.ghostify(own)) is Own
    built = away_from_start(Built(4, name="mine"))
    copy = tf_bdecay.ghostify(built)
    assert type(copy) is type(keras.Model(inputs, inputs)) and copy.name == "mine"
    assert same_bits(built, copy, pictures(4, 3))
    assert same_bits(*(m := sequence(built), tf_bdecay.ghostify(m)), pictures(4, 3))


def tied():
    dense = layers.Dense(3)
    return sequence(dense, Tied(dense))


def subclassed():
    model = Subclassed()
    model(pictures(2, 3))
    return model


@pytest.mark.parametrize(
    "make, says",
    [
        pytest.param(
            lambda: sequence(Normalization(synchronized=True)),
            "is synchronized",
            marks=needs_tensorflow,
        ),
        (lambda: sequence(OtherNormalization()), "class of one's own"),
        (lambda: sequence(Block()), "cannot reach BatchNormalization 'inside', which Block"),
        (lambda: sequence(WithoutConfig(np.ones(3, "float32"))), "cannot be made from its own"),
        (tied, "shares its variable"),
        (subclassed, "cannot reach BatchNormalization 'inside', which Subclassed"),
        (lambda: keras.Sequential([Normalization()]), "as long as it is not built"),
        (lambda: BuiltAndTrained(3), "`train_step` would be lost"),
        (lambda: keras.Sequential([keras.Input((3,)), layers.Dense(3)]), "has none"),
        (lambda: layers.Dense(3), "takes a Keras model. Received: Dense"),
        (
            lambda: keras.Sequential(
                [
                    keras.Input((4, 3)),
                    layers.TimeDistributed(Normalization(name="inside")),
                ]
            ),
            "which TimeDistributed",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((4,)), layers.Embedding(9, 3, mask_zero=True), Normalization()]
            ),
            "does not support a mask",
        ),
    ],
)
def test_what_cannot_be_converted_is_said(make, says):
    with pytest.raises(BadInput, match=says) as raised:
        tf_bdecay.ghostify(make())
    assert str(raised.value).count("\n") == 0


@pytest.mark.parametrize("arguments, says", [((0,), "ghost_batch_size"), ((4, "drop"), "partial")])
def test_arguments_out_of_range(arguments, says):
    with pytest.raises(BadInput, match=says):
        tf_bdecay.ghostify(sequence(), *arguments)
