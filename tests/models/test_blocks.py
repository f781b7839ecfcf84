"""What all models are built from: the layers that options make, and options that are refused."""

import keras
import numpy as np
import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.models import blocks

pytestmark = pytest.mark.any_backend

SHAPE = (4, 4, 2)


def builder(normalization="ghost", **options):
    return blocks.Builder("net", normalization, **options)


def layer_of(function, shape=SHAPE):
    """The layer that a builder's method adds to an input."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, function(inputs)).layers[-1]


def test_a_convolution_is_same_padded_and_seeded_by_name():
    def convolve(name, seed=0, normalization="ghost"):
        made = builder(normalization, seed=seed)
        return layer_of(lambda x: made.convolve(x, name, 300, size=3, strides=2))

    conv, again, other = convolve("a"), convolve("a"), convolve("b")
    assert conv.output.shape == (None, 2, 2, 300)
    assert not conv.use_bias and convolve("a", normalization="none").use_bias
    kernel = keras.ops.convert_to_numpy(conv.kernel)
    np.testing.assert_array_equal(kernel, again.kernel)
    for different in (other, convolve("a", seed=1)):
        assert not np.array_equal(kernel, different.kernel)
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 300)), rel=0.05)  # He, by fan-out
    assert np.abs(kernel).max() > 2.5 * kernel.std()  # untruncated


@pytest.mark.parametrize("image_format", ["channels_last", "channels_first"])
def test_channels_are_last_whatever_keras_is_set_to(image_format):
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(image_format)
    try:
        conv = layer_of(lambda x: builder().convolve(x, "a", 5))
        head = layer_of(lambda x: builder().classify(x, 3))
    finally:
        keras.config.set_image_data_format(before)
    assert conv.output.shape == (None, 4, 4, 5)
    assert head.kernel.shape == (2, 3)


def test_kinds_of_normalization():
    ghost = layer_of(
        lambda x: builder(ghost_batch_size=8, ghost_partial="smaller").normalize(x, "n")
    )
    assert isinstance(ghost, GhostBatchNormalization)
    assert (ghost.ghost_batch_size, ghost.partial) == (8, "smaller")
    batch = layer_of(
        lambda x: builder("batch", bn_momentum=0.5, bn_epsilon=0.1, center=False).normalize(x, "n")
    )
    assert type(batch) is keras.layers.BatchNormalization
    assert (batch.momentum, batch.epsilon, batch.center, batch.scale) == (0.5, 0.1, False, True)
    for none in ("none", None):
        made = builder(none)
        x = keras.Input(SHAPE)
        assert made.normalize(x, "n") is x and not made.normalizes


def test_a_gamma_that_starts_at_0():
    for zero, value in ((True, 0.0), (False, 1.0)):
        layer = layer_of(lambda x, zero=zero: builder().normalize(x, "n", zero_gamma=zero))
        np.testing.assert_array_equal(layer.gamma, np.full(2, value))


def test_a_normalization_of_ones_own():
    asked = []

    def own(**arguments):
        asked.append(arguments)
        return keras.layers.LayerNormalization(**arguments)

    made = builder(own, center=False)
    layer = layer_of(lambda x: made.normalize(x, "mine", zero_gamma=True))
    assert isinstance(layer, keras.layers.LayerNormalization) and layer.name == "mine"
    assert asked == [{"name": "mine", "center": False, "scale": True, "gamma_initializer": "zeros"}]
    assert made.normalizes


@pytest.mark.parametrize("initializer, variance", [("fan_in", 1 / 500), ("fan_out", 2 / 300)])
def test_logits(initializer, variance):
    made = builder(logits_initializer=initializer, seed=0)
    head = layer_of(lambda x: made.classify(x, 300), (4, 4, 500))
    assert head.output.shape == (None, 300) and head.use_bias
    kernel = keras.ops.convert_to_numpy(head.kernel)
    assert kernel.var() == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float32", "float64"])
def test_logits_are_float32_at_least(policy):
    keras.config.set_dtype_policy(policy)
    head = layer_of(lambda x: builder().classify(x, 3))
    assert head.compute_dtype == ("float64" if policy == "float64" else "float32")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (dict(normalisation="batch"), "argument of net 'normalisation'"),
        (dict(sed=1), "did you mean 'seed'"),
        (dict(seed=-1), "`seed` of net must be an integer >= 0 or None. Received: seed=-1"),
        (dict(seed=True), "seed=True"),
        (dict(logits_initializer="fan"), "did you mean 'fan_"),
        (dict(normalization="gost"), "normalization for net 'gost': did you mean 'ghost'"),
        (dict(normalization="none", center=False), "`center` of net has no effect"),
        (dict(normalization="none", bn_epsilon=0.1), "`bn_epsilon` of net has no effect"),
        (dict(normalization="batch", ghost_batch_size=16), "`ghost_batch_size` of net has no"),
        (dict(normalization=dict, bn_momentum=0.5), "`bn_momentum` of net has no effect"),
    ],
    ids=str,
)
def test_what_would_be_ignored_or_is_misspelt_is_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        blocks.Builder("net", **{"normalization": "ghost", **arguments})


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (dict(num_classes=1), "`num_classes` of net must be a whole number >= 2.*num_classes=1$"),
        (dict(num_classes=True), "num_classes=True$"),
        (dict(width=0), "`width` of net.*must be a whole number >= 1.*width=0$"),
        (dict(width=2.0), "width=2.0$"),
        (dict(input_shape=(8, 8)), r"three integers.*input_shape=\(8, 8\)$"),
        (dict(input_shape=(None, 8, 8, 3)), "without the batch"),
        (dict(input_shape=(8, 8, 0)), "three integers"),
        (dict(input_shape=8), "input_shape=8$"),
    ],
    ids=str,
)
def test_sizes_of_no_model_are_refused(arguments, sentence):
    sizes = {"num_classes": 2, "width": 1, "input_shape": [8, 8, 1]}
    assert blocks.check_shapes("net", **sizes) == (8, 8, 1)
    with pytest.raises(BadInput, match=sentence):
        blocks.check_shapes("net", **{**sizes, **arguments})


def test_every_option_is_documented():
    for name in blocks.OPTIONS:
        assert f"        {name}: " in blocks.Options.__doc__
    assert blocks.Options(**blocks.OPTIONS) == blocks.Options()
