"""ResNet18: shapes, parameters and initial values; it also trains."""

import functools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tf_bdecay import models
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization

any_backend = pytest.mark.any_backend  # on a few: JAX compiles the initialisers of every shape

SMALL = dict(width=4, input_shape=(8, 8, 1), num_classes=3, ghost_batch_size=4)


def images(n=8, shape=(8, 8, 1), seed=0):
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype("float32")


def count(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def normalizations(model):
    return [m for m in model.layers if isinstance(m, keras.layers.BatchNormalization)]


@any_backend
@pytest.mark.slow_elsewhere
def test_parameters_at_full_width():
    model = models.resnet18(10)
    assert count(model) == 11_173_962
    assert len(normalizations(model)) == 20
    assert sum(m.gamma.shape[0] for m in normalizations(model)) == 4_800
    assert model.output_shape == (None, 10)


@settings(max_examples=6)
@given(width=st.integers(1, 6), classes=st.integers(2, 20), channels=st.integers(1, 4))
def test_parameters_at_any_width(width, classes, channels):
    """Counted by hand: 3x3 kernels in, within and between stages, shortcuts, two per channel."""
    w = [width * 2**i for i in range(4)]
    kernels = 9 * (channels * width + sum(a * a for a in w) * 3 + width * width)
    kernels += sum(9 * a * b + a * b for a, b in zip(w, w[1:], strict=False))
    pairs = 2 * (width + 4 * sum(w) + sum(w[1:]))
    dense = w[-1] * classes + classes
    model = models.resnet18(classes, width, (8, 8, channels))
    assert count(model) == kernels + pairs + dense


@any_backend
@pytest.mark.slow_elsewhere
def test_one_update_changes_every_parameter():
    model = models.resnet18(**SMALL, seed=0)
    before = [v.numpy() for v in model.trainable_variables]
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(images(), np.arange(8) % 3, batch_size=8, epochs=1, verbose=0)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.abs(variable.numpy() - old).max() > 0, variable.path
    assert all(np.abs(m.moving_mean.numpy()).max() > 0 for m in normalizations(model))
    logits = ops.convert_to_numpy(model(images(7)))  # any number of images at inference
    assert logits.shape == (7, 3) and np.all(np.isfinite(logits))


def test_layers_have_readable_names_and_no_biases():
    model = models.resnet18(**SMALL)
    paths = [v.path for v in model.trainable_variables]
    assert paths[:3] == ["stem_conv/kernel", "stem_bn/gamma", "stem_bn/beta"]
    assert "stage2_block1_shortcut_conv/kernel" in paths
    assert "stage1_block1_shortcut_conv/kernel" not in paths
    assert "stage4_block2_bn2/beta" in paths
    assert [p for p in paths if p.endswith("bias")] == ["logits/bias"]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("center, scale", [(False, True), (True, False), (False, False)])
def test_frozen_variants_lack_the_parameter(center, scale):
    model = models.resnet18(**SMALL, center=center, scale=scale)
    leaves = {v.path.rsplit("/", 1)[1] for v in model.trainable_variables}
    assert ("beta" in leaves, "gamma" in leaves) == (center, scale)
    assert len(model.non_trainable_variables) == 40  # statistics still train
    model(images(), training=True)
    assert np.abs(model.get_layer("stem_bn").moving_mean.numpy()).max() > 0


def test_normalization_layers_get_their_arguments():
    ghost = models.resnet18(**SMALL, bn_momentum=0.8, bn_epsilon=1e-4, ghost_partial="smaller")
    for layer in normalizations(ghost):
        assert isinstance(layer, GhostBatchNormalization)
        assert (layer.ghost_batch_size, layer.partial) == (4, "smaller")
        assert (layer.momentum, layer.epsilon) == (0.8, 1e-4)
    batch = models.resnet18(3, 4, (8, 8, 1), normalization="batch")
    for layer in normalizations(batch):
        assert type(layer) is keras.layers.BatchNormalization
        assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
    grouped = functools.partial(keras.layers.GroupNormalization, 2)
    model = models.resnet18(3, 4, (8, 8, 1), grouped, center=False, zero_last_gamma=True)
    assert isinstance(model.get_layer("stem_bn"), keras.layers.GroupNormalization)
    assert model.get_layer("stem_bn").beta is None
    assert np.all(model.get_layer("stage1_block1_bn2").gamma.numpy() == 0)


@any_backend
def test_ghost_and_batch_agree_where_the_ghost_batch_is_the_batch():
    x = images()
    arguments = dict(num_classes=3, width=4, input_shape=(8, 8, 1), seed=3)
    ghost = models.resnet18(**arguments, ghost_batch_size=8)
    batch = models.resnet18(**arguments, normalization="batch")
    for training in (True, False):
        a, b = (ops.convert_to_numpy(m(x, training=training)) for m in (ghost, batch))
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_a_block_whose_last_gamma_is_zero_starts_as_its_shortcut():
    model = models.resnet18(**SMALL, zero_last_gamma=True)
    ends = [model.get_layer(f"stage1_{name}").output for name in ("block1_relu2", "block2_relu2")]
    first, second = keras.Model(model.input, ends)(images(), training=True)
    np.testing.assert_array_equal(first, second)
    zero = [m.name for m in normalizations(model) if np.all(m.gamma.numpy() == 0)]
    assert zero == [f"stage{s}_block{b}_bn2" for s in (1, 2, 3, 4) for b in (1, 2)]


@any_backend
def test_seed_decides_the_initial_values():
    first, again, other = (models.resnet18(**SMALL, seed=s).get_weights() for s in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])
    loose = [models.resnet18(**SMALL).get_weights()[0] for _ in range(2)]
    assert not np.array_equal(*loose)
    model = models.resnet18(**SMALL, seed=1)
    twins = [model.get_layer(f"stage1_block1_conv{i}").kernel.numpy() for i in (1, 2)]
    assert not np.array_equal(*twins)


def test_kernels_start_he_normal_by_fan_out():
    model = models.resnet18(10, 32, seed=0)
    for name, fan_out in [("stage2_block1_conv1", 9 * 64), ("stage4_block1_conv1", 9 * 256)]:
        kernel = model.get_layer(name).kernel.numpy()
        error = kernel.std() / np.sqrt(2 / fan_out) - 1
        assert abs(error) < 4 / np.sqrt(2 * kernel.size)
        assert np.abs(kernel).max() > 3 * kernel.std()  # not truncated at two deviations
    assert np.all(model.get_layer("logits").bias.numpy() == 0)


@pytest.mark.parametrize("rule, deviation", [("fan_in", 256**-0.5), ("fan_out", (2 / 10) ** 0.5)])
def test_the_dense_kernel_starts_as_asked(rule, deviation):
    kernel = models.resnet18(10, 32, seed=0, logits_initializer=rule).get_layer("logits").kernel
    assert abs(kernel.numpy().std() / deviation - 1) < 4 / np.sqrt(2 * 2560)


def test_global_data_format_does_not_matter():
    before = keras.config.image_data_format()
    try:
        keras.config.set_image_data_format("channels_first")
        assert models.resnet18(**SMALL).get_layer("pool").output.shape == (None, 32)
    finally:
        keras.config.set_image_data_format(before)


def test_save_and_load(tmp_path):
    model = models.resnet18(**SMALL)
    model(images(), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images()), model(images()))


@any_backend
@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (dict(width=0), "`width`"),
        (dict(width=1.5), "`width`"),
        (dict(num_classes=1), "`num_classes`"),
        (dict(num_classes=0), "`num_classes`"),
        (dict(input_shape=(32, 32)), "`input_shape`"),
        (dict(input_shape=(None, 32, 3)), "`input_shape`"),
        (dict(input_shape=32), "`input_shape`"),
        (dict(normalization="gost"), "did you mean 'ghost'"),
        (dict(normalization="none"), "needs a normalization"),
        (dict(normalization=None), "needs a normalization"),
        (dict(zero_last_gamma=True, scale=False), "zero_last_gamma"),
        (dict(normalization="batch", ghost_batch_size=64), "no effect"),
        (dict(normalization=keras.layers.LayerNormalization, bn_epsilon=1e-3), "no effect"),
        (dict(logits_initializer="fan-out"), "did you mean 'fan_out'"),
        (dict(ghost_batch_size=0), "ghost_batch_size"),
        (dict(seed=-1), "`seed`"),
    ],
)
def test_bad_arguments_are_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        models.resnet18(**{"width": 2, "input_shape": (8, 8, 1), **arguments})
