"""The layer equals Keras' BatchNormalization for one ghost batch; what it does beyond that."""

import keras
import numpy as np
import numpy_reference
import pytest
from keras import ops

from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization

pytestmark = pytest.mark.any_backend

LIKE_RESNET = dict(momentum=0.9, epsilon=1e-5)


def data(*shape, mean=1.0, deviation=3.0, seed=0):
    return np.random.default_rng(seed).normal(mean, deviation, shape).astype("float32")


def with_parameters(layer, shape, seed=1):
    """The layer, built, its gamma, beta and moving statistics away from where they start."""
    layer.build((None, *shape[1:]))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.uniform(0.5, 2.0, w.shape) for w in layer.weights])
    return layer


def trained(layer, x, updates=3):
    """Weights after some SGD updates through `fit`, which gradients and statistics decide."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer, keras.layers.Flatten()])
    target = data(*model(x).shape, seed=5)
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse")
    model.fit(x, target, batch_size=len(x), epochs=updates, shuffle=False, verbose=0)
    return layer.get_weights()


@pytest.mark.parametrize(
    "shape, axis", [((8, 3), -1), ((8, 4, 4, 3), -1), ((8, 3, 4, 4), 1), ((8, 4, 3, 2), 2)]
)
def test_is_batch_normalization_where_the_ghost_batch_is_the_batch(shape, axis):
    x = data(*shape)
    ours = with_parameters(GhostBatchNormalization(8, axis=axis), shape)
    keras_layer = with_parameters(keras.layers.BatchNormalization(axis=axis), shape)
    assert [w.name for w in ours.weights] == [w.name for w in keras_layer.weights]
    for training in (False, True, False):
        got, wanted = (ops.convert_to_numpy(f(x, training=training)) for f in (ours, keras_layer))
        np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=2e-6)
    for a, b in zip(ours.get_weights(), keras_layer.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_trains_as_batch_normalization_where_the_ghost_batch_is_the_batch():
    x = data(8, 4, 4, 3)
    start = with_parameters(GhostBatchNormalization(8), x.shape).get_weights()
    ours = trained(with_parameters(GhostBatchNormalization(8), x.shape), x)
    wanted = trained(with_parameters(keras.layers.BatchNormalization(), x.shape), x)
    for a, b, c in zip(ours, wanted, start, strict=True):
        assert np.abs(b - c).max() > 1e-2  # else nothing was compared
        np.testing.assert_allclose(a - c, b - c, rtol=1e-4, atol=1e-6)


def test_each_ghost_batch_is_normalized_as_if_alone():
    x = data(12, 5, 5, 3)
    layer = with_parameters(GhostBatchNormalization(4), x.shape)
    alone = [with_parameters(GhostBatchNormalization(4), x.shape) for _ in range(3)]
    together = ops.convert_to_numpy(layer(x, training=True))
    apart = [
        ops.convert_to_numpy(a(x[4 * i : 4 * i + 4], training=True)) for i, a in enumerate(alone)
    ]
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=1e-5, atol=1e-6)
    # One momentum step from the mean over ghost batches is the mean of one step from each.
    for ours, *single in zip(layer.get_weights(), *(a.get_weights() for a in alone), strict=True):
        np.testing.assert_allclose(ours, np.mean(single, axis=0), rtol=1e-6)


@pytest.mark.parametrize("batch, ghost", [(10, 4), (3, 4), (8, 4), (5, 4)])
def test_smaller_last_ghost_batch(batch, ghost):
    x = data(batch, 3, 3, 2)
    layer = with_parameters(GhostBatchNormalization(ghost, partial="smaller"), x.shape)
    gamma, beta, moving_mean, moving_variance = layer.get_weights()
    y, mean, variance = numpy_reference.forward(x, gamma, beta, ghost, 3, 1e-3)
    np.testing.assert_allclose(layer(x, training=True), y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.99 * moving_mean + 0.01 * mean, rtol=1e-5)
    wanted = 0.99 * moving_variance + 0.01 * variance
    np.testing.assert_allclose(layer.moving_variance, wanted, rtol=1e-5)


@pytest.mark.parametrize("batch, hint", [(40, "32 or 64"), (7, "such as 32, or"), (33, "32 or 64")])
def test_a_batch_that_does_not_divide_is_refused(batch, hint):
    layer = GhostBatchNormalization(32, name="bn")
    x = data(batch, 4)
    with pytest.raises(BadInput, match=f"^ghost_batch_size=32 .* 'bn' = {batch}$") as error:
        layer(x, training=True)
    assert hint in str(error.value)
    layer(x, training=False)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(4))


@pytest.mark.parametrize("partial", ["error", "smaller"])
def test_an_empty_training_batch_is_refused(partial):
    layer = GhostBatchNormalization(4, partial=partial)
    with pytest.raises(BadInput, match="must not be empty"):
        layer(np.zeros((0, 3), "float32"), training=True)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (dict(ghost_batch_size=0), "ghost_batch_size"),
        (dict(ghost_batch_size=True), "ghost_batch_size"),
        (dict(ghost_batch_size=32.0), "ghost_batch_size"),
        (dict(ghost_batch_size=-1), "ghost_batch_size"),
        (dict(partial="smallest"), "did you mean 'smaller'"),
        (dict(synchronized=True), "synchronized"),
        (dict(renorm=True), "renorm"),
        (dict(axis=[1, 2]), "axis"),
        (dict(momentum=1.5), "momentum"),
        (dict(momentum=float("nan")), "momentum"),
        (dict(epsilon=-1e-3), "epsilon"),
        (dict(epsilon=float("nan")), "epsilon"),
    ],
)
def test_bad_arguments_are_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        GhostBatchNormalization(**arguments)


@pytest.mark.parametrize(
    "arguments, shape, sentence",
    [
        (dict(axis=0), (None, 4), "axis 0, not the first"),
        (dict(axis=2), (None, 4), "axis 2, not the first"),
        (dict(axis=-2), (None, 4), "axis -2, not the first"),
        (dict(), (None,), "axis -1, not the first"),
        (dict(), (None, None), "number of channels"),
        (dict(ghost_batch_size=1), (None, 4), "ghost_batch_size=1"),
        (dict(ghost_batch_size=1), (None, 1, 1, 4), "ghost_batch_size=1"),
    ],
)
def test_inputs_that_cannot_be_normalized_are_refused(arguments, shape, sentence):
    with pytest.raises(BadInput, match=sentence):
        GhostBatchNormalization(**arguments).build(shape)


def test_a_ghost_batch_of_one_normalizes_each_example_over_its_positions():
    x = data(4, 6, 6, 2)
    ours = GhostBatchNormalization(1, epsilon=1e-5)(x, training=True)
    mean, deviation = x.mean((1, 2), keepdims=True), np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(ours, (x - mean) / deviation, rtol=1e-4, atol=1e-5)


def test_a_mask_is_refused_not_ignored():
    layer = GhostBatchNormalization(2)
    with pytest.raises(BadInput, match="mask"):
        layer(data(4, 3, 2), mask=np.ones((4, 3), bool), training=True)
    tokens = keras.layers.Embedding(5, 3, mask_zero=True)(keras.Input((7,), dtype="int32"))
    with pytest.raises(BadInput, match="mask"):
        GhostBatchNormalization(2)(tokens)


def test_frozen_layer_is_in_inference_mode():
    x = data(5, 3)  # which the ghost batch does not divide
    layer = with_parameters(GhostBatchNormalization(4), x.shape)
    before = layer.get_weights()
    wanted = ops.convert_to_numpy(layer(x, training=False))
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), wanted)
    for a, b in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("center, scale", [(False, True), (True, False), (False, False)])
def test_left_out_parameters_are_not_there_while_statistics_train(center, scale):
    x = data(8, 3, 3, 2)
    layer = GhostBatchNormalization(4, center=center, scale=scale, **LIKE_RESNET)
    y = layer(x, training=True)
    names = [w.name for w in layer.weights]
    assert ("gamma" in names, "beta" in names) == (scale, center)
    assert [w.name for w in layer.trainable_weights] == names[:-2]
    wanted, mean, _ = numpy_reference.forward(x, np.ones(2), np.zeros(2), 4, 3, 1e-5)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-5)
    trained(layer, x, updates=1)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_float32_variables_and_statistics(policy):
    half = policy.removeprefix("mixed_")
    layer = GhostBatchNormalization(4, dtype=policy, **LIKE_RESNET)
    x = ops.cast(data(8, 4, 4, 3, mean=50.0), half)
    y = layer(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == half
    assert {keras.backend.standardize_dtype(w.dtype) for w in layer.weights} == {"float32"}
    exact = ops.convert_to_numpy(ops.cast(x, "float32"))
    wanted, mean, variance = numpy_reference.forward(exact, np.ones(3), np.zeros(3), 4, 3, 1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * variance, rtol=1e-5)
    digit = 2.0**-11 if half == "float16" else 2.0**-8
    y = ops.convert_to_numpy(ops.cast(y, "float32"))
    np.testing.assert_allclose(y, wanted, rtol=1.01 * digit, atol=1e-4)


def test_fit_learns_and_inference_uses_what_training_saw():
    rng = np.random.default_rng(0)
    x = rng.normal(20.0, 5.0, (96, 6)).astype("float32")
    labels = (x[:, :3].sum(1) > x[:, 3:].sum(1)).astype("int64")
    model = keras.Sequential(
        [keras.Input((6,)), GhostBatchNormalization(16, momentum=0.5), keras.layers.Dense(2)]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x, labels, batch_size=48, epochs=20, verbose=0)
    assert model.evaluate(x[:61], labels[:61], batch_size=61, verbose=0)[1] > 0.9
    np.testing.assert_allclose(model.layers[0].moving_mean, x.mean(0), rtol=0.1)


def test_save_and_load(tmp_path):
    x = data(8, 4, 3)
    layer = GhostBatchNormalization(
        4, partial="smaller", momentum=0.8, beta_regularizer="l2", gamma_initializer="zeros"
    )
    model = keras.Sequential([keras.Input((4, 3)), layer])
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == layer.get_config()
    assert loaded.layers[0].ghost_batch_size == 4 and loaded.layers[0].partial == "smaller"
    for training in (False, True):
        np.testing.assert_array_equal(loaded(x, training=training), model(x, training=training))
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_batch_normalization_fit():
    x = data(8, 4, 3)
    source = with_parameters(keras.layers.BatchNormalization(), x.shape)
    ours = GhostBatchNormalization(4)
    ours.build(x.shape)
    ours.set_weights(source.get_weights())
    np.testing.assert_array_equal(ours(x), source(x))
    assert isinstance(ours, keras.layers.BatchNormalization)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("partial", ["error", "smaller"])
def test_statistics_that_are_not_finite_move_neither(value, partial):
    """Of 1e30 the mean is finite and the variance is not."""
    x = data(8, 3)
    x[5, 1] = value
    layer = with_parameters(GhostBatchNormalization(4, momentum=0.5, partial=partial), x.shape)
    before = [ops.convert_to_numpy(w) for w in (layer.moving_mean, layer.moving_variance)]
    layer(x, training=True)
    for a, b in zip(before, (layer.moving_mean, layer.moving_variance), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(b), a)
    layer(data(8, 3), training=True)
    assert (ops.convert_to_numpy(layer.moving_mean) != before[0]).all()


def test_fit_goes_on_after_an_example_that_is_not_finite():
    """The optimizer skips the update; the layer, which acts before it, keeps its statistics."""
    import tf_bdecay

    rng = np.random.default_rng(0)
    x, y = data(32, 4), rng.integers(0, 3, 32)
    spoilt = x.copy()
    spoilt[9, 0] = np.nan
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(6, use_bias=False)
    layers = [dense, GhostBatchNormalization(4), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_bdecay.Lamb(0.05), loss)
    start = model.get_weights()
    model.fit(spoilt[:16], y[:16], batch_size=16, verbose=0)
    for a, b in zip(start, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    assert np.isfinite(model.evaluate(x, y, verbose=0))


def test_replicas_average_moving_statistics_and_nothing_else():
    layer = GhostBatchNormalization(2)
    layer.build((None, 3))
    assert [v.aggregation for v in layer.non_trainable_variables] == ["mean", "mean"]
    plain = keras.layers.BatchNormalization()
    plain.build((None, 3))
    assert layer.gamma.aggregation == plain.gamma.aggregation != "mean"
