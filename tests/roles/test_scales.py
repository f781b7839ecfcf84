"""What a layer does with its vectors distinguishes a normalization's scale from a temperature."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_bdecay.roles import scales

pytestmark = pytest.mark.any_backend


def rms(x, axis=-1, epsilon=1e-6):
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=axis, keepdims=True) + epsilon)


class Vectors(layers.Layer):
    """A layer with vectors of the channels' size, under names that say nothing."""

    names, axis = ("scale",), -1

    def build(self, shape):
        self.vectors = [self.add_weight(shape=self.shape(shape), name=name) for name in self.names]

    def shape(self, shape):
        return (shape[self.axis],)

    def call(self, x):
        return self.rule(x, *self.vectors)


def layer(rule, names=("scale",), **attributes):
    attributes = {"rule": staticmethod(rule), "names": names, **attributes}
    return type("Own", (Vectors,), attributes)()


class NoShape(layers.Layer):
    """Makes its scale in its constructor: no shape is known."""

    def __init__(self):
        super().__init__()
        self.scale = self.add_weight(shape=(6,), name="gain")

    def call(self, x):
        return rms(x) * self.scale


class StaticShape(Vectors):
    """Refuses any other input than it was built for."""

    def build(self, shape):
        self.wanted = shape[1:]
        super().build(shape)

    def call(self, x):
        assert tuple(x.shape[1:]) == self.wanted
        return rms(x) * self.vectors[0]


def centred(x, weight, bias):
    return (x - ops.mean(x, -1, keepdims=True)) / ops.std(x, -1, keepdims=True) * weight + bias


SCALES = {
    "Llama's": lambda: layer(lambda x, s: rms(x) * s),
    "Gemma's, about 1": lambda: layer(lambda x, s: rms(x) * (1 + s)),
    "Qwen's, in single precision": lambda: layer(
        lambda x, s: ops.cast(rms(ops.cast(x, "float32")), x.dtype) * s, ("weight",)
    ),
    "a large epsilon": lambda: layer(lambda x, s: rms(x, epsilon=1e-3) * s),
    "LayerScale": lambda: layer(lambda x, s: x * s, (None,)),
    "as an image's channels": lambda: layer(
        lambda x, s: rms(x) * s, shape=lambda self, s: (1, 1, s[-1])
    ),
    "no shape": NoShape,
    "one shape alone": StaticShape,
}
PAIRS = {
    "layer norm": lambda: layer(centred, ("weight", "bias")),
    "affine": lambda: layer(lambda x, s, b: x * s + b, ("slope", "offset")),
    "shift first": lambda: layer(lambda x, b, s: rms(x) * s + b, ("offset", "scale")),
}
NEITHER = {
    "temperature": lambda: layer(lambda x, s: ops.tanh(x * s)),
    "slope of the negative part": lambda: layer(lambda x, s: ops.where(x > 0, x, s * x)),
    "gate": lambda: layer(lambda x, s: s * ops.sigmoid(x)),
    "shift alone": lambda: layer(lambda x, s: x + s),
    "unused": lambda: layer(lambda x, s: x),
    "attention's vector": lambda: layer(lambda x, s: ops.sum(x * s, -1, keepdims=True) * x),
    "a scalar": lambda: layer(lambda x, s: x * s, shape=lambda self, s: ()),
    "two scales": lambda: layer(lambda x, s, t: x * s * t, ("scale", "gain")),
    "raises": lambda: layer(lambda x, s: 1 / 0),
    "other output": lambda: layer(lambda x, s: (x * s)[:, :1]),
    "other output, of the same numbers": lambda: layer(lambda x, s: rms(x)[0, :1] * s),
    "a shift more": lambda: layer(lambda x, s, a, b: x * s + a + b, ("scale", "a", "b")),
}


def built(make, shape=(None, 4, 6)):
    made = make()
    made.build(shape)
    return made


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_scales(name, dtype):
    keras.config.set_dtype_policy(dtype)
    shape = (None, 4, 4, 6) if "image" in name else (None, 9, 6)
    own = built(SCALES[name], shape)
    assert list(scales.roles_by_action(own).values()) == ["gamma"]


def test_of_two_channels_a_scale_is_one_and_of_one_channel_it_is_not_known():
    two, one = (built(SCALES["LayerScale"], (None, 4, n)) for n in (2, 1))
    assert list(scales.roles_by_action(two).values()) == ["gamma"]
    assert scales.roles_by_action(one) == {}


@pytest.mark.parametrize("name", PAIRS)
def test_a_shift_beside_a_scale_is_its_beta(name):
    own = built(PAIRS[name])
    found = scales.roles_by_action(own)
    roles = ["beta", "gamma"] if name == "shift first" else ["gamma", "beta"]
    assert [found[id(v)] for v in own.trainable_variables] == roles


@pytest.mark.parametrize("name", NEITHER)
def test_what_is_no_scale(name):
    assert scales.roles_by_action(built(NEITHER[name])) == {}


def test_channels_first():
    own = layer(lambda x, s: rms(x, 1) * ops.reshape(s, (-1, 1, 1)), axis=1)
    own.build((None, 6, 9, 8))
    assert list(scales.roles_by_action(own).values()) == ["gamma"]


def test_variables_of_two_sizes_are_no_pair():
    dense = layers.Dense(3)
    dense.build((None, 6))
    assert scales.roles_by_action(dense) == {}


def test_channels_first_of_large_images():
    """Only an image that is cut small, its channels whole, is worth evaluating."""
    own = layer(lambda x, s: rms(x, 1) * ops.reshape(s, (-1, 1, 1)), axis=1)
    own.build((None, 6, 900, 800))
    assert list(scales.roles_by_action(own).values()) == ["gamma"]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's graphs")
def test_in_a_graph_that_is_being_traced():
    import tensorflow as tf

    own = built(SCALES["Llama's"])
    found = tf.function(lambda: list(scales.roles_by_action(own).values()))
    assert [word.numpy() for word in found()] == [b"gamma"]


def test_a_layer_of_two_inputs_is_not_evaluated():
    attention = layers.AdditiveAttention()
    attention.build([(None, 3, 6), (None, 3, 6)])
    assert scales.roles_by_action(attention) == {}


def test_evaluating_leaves_a_layer_as_it_was():
    class Counting(Vectors):
        def build(self, shape):
            super().build(shape)
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x):
            self.calls.assign_add(1.0)
            self.add_loss(ops.sum(x))
            return rms(x) * self.vectors[0]

    own = built(Counting)
    before = [np.array(v.numpy()) for v in own.variables]
    assert list(scales.roles_by_action(own).values()) == ["gamma"]
    for variable, old in zip(own.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)
    assert own.losses == []
