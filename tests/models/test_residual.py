"""ResNet50, ResNet50-D, ResNet18 with the ImageNet stem: shapes, parameters, padding, updates."""

import functools

import keras
import numpy as np
import pytest
from keras import ops
from scipy.signal import correlate

import tf_bdecay
from tf_bdecay import models
from tf_bdecay.errors import BadInput
from tf_bdecay.models import blocks, residual

any_backend = pytest.mark.any_backend

BUILDERS = {
    "resnet18": lambda **a: models.resnet18(stem="imagenet", **a),
    "resnet50": models.resnet50,
    "resnet50_d": models.resnet50_d,
}
TINY = dict(num_classes=4, width=4, input_shape=(32, 32, 3), ghost_batch_size=4, seed=0)
FULL = dict(num_classes=1000, width=64, input_shape=(224, 224, 3))

# Trainable parameters of torchvision's (resnet18, resnet50) and timm's (resnet50d) networks: stem,
# four stages, the dense layer.
PARAMETERS = {
    "resnet18": (9_536, 147_968, 525_568, 2_099_712, 8_393_728, 513_000),
    "resnet50": (9_536, 215_808, 1_219_584, 7_098_368, 14_964_736, 2_049_000),
    "resnet50_d": (28_768, 215_808, 1_219_584, 7_098_368, 14_964_736, 2_049_000),
}
TOTAL = {"resnet18": 11_689_512, "resnet50": 25_557_032, "resnet50_d": 25_576_264}


def count(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


@pytest.fixture(params=BUILDERS)
def name(request):
    return request.param


@pytest.mark.parametrize(
    "name",
    ["resnet18", pytest.param("resnet50", marks=pytest.mark.slow), "resnet50_d"],
)
def test_parameters_and_shapes_of_every_stage(name):
    model = BUILDERS[name](**FULL)
    parts = ("stem_", "stage1_", "stage2_", "stage3_", "stage4_", "logits/")
    of = [[v for v in model.trainable_variables if v.path.startswith(part)] for part in parts]
    assert tuple(map(count, of)) == PARAMETERS[name]
    assert count(model.trainable_variables) == TOTAL[name]

    wide = 1 if name == "resnet18" else 4
    assert model.get_layer("stem_pool_pad").input.shape == (None, 112, 112, 64)
    assert model.get_layer("stem_pool").output.shape == (None, 56, 56, 64)
    for stage, side in enumerate((56, 28, 14, 7)):
        sums = [
            m for m in model.layers if m.name.startswith(f"stage{stage + 1}") and "add" in m.name
        ]
        assert len(sums) == ((2, 2, 2, 2) if wide == 1 else (3, 4, 6, 3))[stage]
        assert {m.output.shape for m in sums} == {(None, side, side, wide * 64 * 2**stage)}
    assert model.output_shape == (None, 1000)


@functools.cache
def tiny(name):
    """A tiny network to look at."""
    return BUILDERS[name](**TINY, zero_last_gamma=True)


def test_strides_are_in_the_3x3_convolutions_and_the_shortcuts(name):
    model = tiny(name)
    convolutions = [m for m in model.layers if isinstance(m, keras.layers.Conv2D)]
    strided = [m.name for m in convolutions if m.strides != (1, 1)]
    inner = "conv1" if name == "resnet18" else "conv2"
    stem = "stem_conv1" if name == "resnet50_d" else "stem_conv"
    shortcut = [] if name == "resnet50_d" else ["shortcut_conv"]
    expected = [f"stage{s}_block1_{part}" for s in (2, 3, 4) for part in [inner, *shortcut]]
    assert sorted(strided) == sorted([stem, *expected])
    pools = [m.name for m in model.layers if isinstance(m, keras.layers.AveragePooling2D)]
    of_shortcuts = [f"stage{s}_block1_shortcut_pool" for s in (2, 3, 4)]
    assert pools == (of_shortcuts if name == "resnet50_d" else [])
    sizes = {m.kernel_size for m in convolutions if m.name.startswith("stem")}
    assert sizes == ({(3, 3)} if name == "resnet50_d" else {(7, 7)})


def test_every_convolution_is_without_bias_and_followed_by_ghost_batches(name):
    model = tiny(name)
    convolutions = [m for m in model.layers if isinstance(m, keras.layers.Conv2D)]
    norms = [m for m in model.layers if isinstance(m, tf_bdecay.layers.GhostBatchNormalization)]
    assert len(norms) == len(convolutions) == {"resnet18": 20, "resnet50": 53}.get(name, 55)
    assert not any(m.use_bias for m in convolutions)
    assert {m.ghost_batch_size for m in norms} == {4}
    assert [m.name.replace("bn", "conv") for m in norms] == [m.name for m in convolutions]


@pytest.mark.parametrize("side", [7, 8, 9])
@pytest.mark.parametrize("size", [3, 7])
@any_backend
def test_padding_on_both_sides_is_that_of_a_plain_sum(side, size):
    inputs = keras.Input((side, side + 2, 2))
    build = blocks.Builder("net", "ghost", seed=0)
    model = keras.Model(inputs, build.convolve(inputs, "conv", 3, size, 2, "both"))
    x = np.random.default_rng(0).normal(size=(side, side + 2, 2))
    kernel = ops.convert_to_numpy(model.get_layer("conv").kernel)
    half = size // 2
    padded = np.pad(x, [(half, half), (half, half), (0, 0)])
    expected = [
        correlate(padded, kernel[..., c].astype(float), "valid")[::2, ::2, 0] for c in range(3)
    ]
    found = ops.convert_to_numpy(model(x[np.newaxis].astype("float32")))[0]
    np.testing.assert_allclose(found, np.stack(expected, -1), atol=1e-4)


@pytest.mark.parametrize("side", [5, 6])
@any_backend
def test_the_pool_of_the_stem_is_the_largest_of_nine_around_every_other_pixel(side):
    inputs = keras.Input((side, side, 1))
    x = np.random.default_rng(0).random((side, side)).astype("float32")
    found = ops.convert_to_numpy(keras.Model(inputs, residual._pooled(inputs))(x[None, ..., None]))
    ahead = range(0, side, 2)
    expected = [
        [x[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].max() for j in ahead] for i in ahead
    ]
    np.testing.assert_array_equal(found[0, ..., 0], expected)


@pytest.mark.parametrize("side", [5, 6])
@any_backend
def test_a_pooled_shortcut_is_the_mean_of_the_pixels_that_are_there(side):
    inputs = keras.Input((side, side, 3))
    build = blocks.Builder("net", lambda name, **_: keras.layers.Identity(name=name), seed=0)
    parts = residual.bottleneck, residual.deep_stem
    design = residual.Design("net", (1,), *parts, pooled_shortcuts=True)
    made = residual._shortcut(build, design, inputs, "a", 3, 2)
    model = keras.Model(inputs, made)
    model.get_layer("a_shortcut_conv").kernel.assign(np.eye(3)[None, None])
    x = np.random.default_rng(0).random((side, side, 3)).astype("float32")
    ahead = range(0, side, 2)
    expected = [[x[i : i + 2, j : j + 2].mean((0, 1)) for j in ahead] for i in ahead]
    np.testing.assert_allclose(ops.convert_to_numpy(model(x[None]))[0], expected, rtol=1e-5)


def test_the_cifar_stem_is_as_it_was():
    model = models.resnet18(**TINY, stem="cifar")
    same = models.resnet18(**TINY)
    assert [m.name for m in model.layers] == [m.name for m in same.layers]
    convolutions = [m for m in model.layers if isinstance(m, keras.layers.Conv2D)]
    assert {m.padding for m in convolutions} == {"same"}
    assert not any("pad" in m.name or m.name == "stem_pool" for m in model.layers)


def updated(name, policy, **compiled):
    """A tiny network after one update, its variables before, and the loss."""
    keras.config.set_dtype_policy(policy)
    model = BUILDERS[name](**TINY)
    optimizer = tf_bdecay.SGD(0.1, compile_update=False)
    if policy == "mixed_float16":
        # So small a network has large gradients: 3,000 in its first kernel.
        optimizer = tf_bdecay.LossScaleOptimizer(optimizer, initial_scale=1.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer = tf_bdecay.Trainer.of(model)
    trainer.compile(optimizer, loss, **compiled)
    before = [v.numpy() for v in model.trainable_variables]
    x = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32")
    history = trainer.fit(x, np.arange(8) % 4, batch_size=8, epochs=1, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert model.output.dtype == ("float64" if policy == "float64" else "float32")
    convolutions = [m for m in model.layers if isinstance(m, keras.layers.Conv2D)]
    assert {m.compute_dtype for m in convolutions} == {policy.removeprefix("mixed_")}
    return model, before, history.history["loss"][0]


slow = pytest.mark.slow


@pytest.mark.parametrize(
    "name, policy",
    [
        pytest.param("resnet18", "float32", marks=slow),
        pytest.param("resnet18", "mixed_bfloat16", marks=slow),
        ("resnet18", "mixed_float16"),
        pytest.param("resnet50", "float32", marks=slow),
        pytest.param("resnet50", "mixed_bfloat16", marks=slow),
        pytest.param("resnet50", "mixed_float16", marks=slow),
        pytest.param("resnet50_d", "float32", marks=slow),
        pytest.param("resnet50_d", "mixed_bfloat16", marks=slow),
        pytest.param("resnet50_d", "mixed_float16", marks=slow),
    ],
)
def test_one_update_changes_every_parameter_in_every_precision(name, policy):
    model, before, _ = updated(name, policy, run_eagerly=True)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert variable.dtype == "float32"
        assert np.isfinite(variable.numpy()).all() and np.any(variable.numpy() != old), (
            variable.path
        )


@slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50_d"])  # resnet50 is made of their parts
def test_the_whole_step_compiled_by_xla_is_the_plain_one(name):
    """In float64: ghost batches of four values make of float32's rounding several percent."""
    plain, before, loss = updated(name, "float64", run_eagerly=True)
    compiled, _, same = updated(name, "float64", jit_compile=True)
    assert same == pytest.approx(loss, rel=1e-6)
    triples = zip(plain.trainable_variables, compiled.trainable_variables, before, strict=True)
    for a, b, old in triples:
        moved = np.linalg.norm(a.numpy() - old)
        assert moved > 0 and np.linalg.norm(a.numpy() - b.numpy()) < 1e-6 * moved, a.path


def test_the_last_gamma_of_every_block_may_start_at_0(name):
    last = "bn2" if name == "resnet18" else "bn3"
    norms = [m for m in tiny(name).layers if isinstance(m, keras.layers.BatchNormalization)]
    zero = [m.name for m in norms if not np.any(m.gamma.numpy())]
    ends = [m.name for m in norms if m.name.startswith("stage") and m.name.endswith(last)]
    assert zero == ends and len(zero) == (8 if name == "resnet18" else 16)


def test_frozen_parameters_are_left_out():
    frozen = models.resnet50_d(**TINY, center=False)
    assert {v.path.split("/")[1] for v in frozen.trainable_variables} == {"kernel", "gamma", "bias"}


@pytest.mark.parametrize(
    "make, arguments, sentence",
    [
        (models.resnet18, dict(stem="imagnet"), "did you mean 'imagenet'"),
        (models.resnet18, dict(stem=None), "stem of resnet18"),
        (models.resnet50_d, dict(width=3), "`width` of resnet50_d must be even.*width=3"),
        (models.resnet50_d, dict(width=0), "`width` of resnet50_d, the channels"),
        (models.resnet50_d, dict(width=2.5), "`width` of resnet50_d, the channels"),
        (models.resnet50, dict(normalization="none"), "resnet50 needs a normalization"),
        (models.resnet50, dict(zero_last_gamma=True, scale=False), "`zero_last_gamma` of resnet50"),
        (models.resnet50, dict(stem="cifar"), "argument of resnet50 'stem'"),
    ],
)
@any_backend
def test_bad_arguments_are_refused(make, arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        make(**{"width": 2, "input_shape": (8, 8, 1), **arguments})
