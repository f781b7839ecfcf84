"""The fused kernel computes what the closed form does, and is used where it is right and fast."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_bdecay.layers import GhostBatchNormalization, fused, normalize
from tf_bdecay.layers.closed_form_only import closed_form_only

EPSILON, GHOST = 1e-3, 8


def tensors(shape, dtype, offset=3.0):
    """Inputs, gamma, beta and an upstream gradient."""
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, *shape))
    gamma, beta = rng.uniform(0.5, 1.5, shape[-1]), rng.normal(size=shape[-1])
    x, dy = (tf.cast(tf.constant(value), dtype) for value in (2 * x + offset, dy))
    return x, tf.constant(gamma, "float32"), tf.constant(beta, "float32"), dy


def with_gradients(kernel, x, gamma, beta, dy):
    @tf.function(autograph=False)
    def run(x, gamma, beta, dy):
        with tf.GradientTape() as tape:
            tape.watch([x, gamma, beta])
            y, mean, variance = kernel(x, gamma, beta)
        return y, mean, variance, *tape.gradient(y, [x, gamma, beta], output_gradients=dy)

    return [tf.cast(t, "float64").numpy() for t in run(x, gamma, beta, dy)]


@pytest.mark.parametrize(
    "shape", [(32, 5, 5, 6), (16, 4), (24, 3, 7), (GHOST * 17, 2), (GHOST * 40, 2, 3)], ids=str
)
@pytest.mark.parametrize(
    "dtype, tolerance", [("float32", 1e-5), ("bfloat16", 2e-2), ("float16", 2e-3)]
)
@pytest.mark.quick_rows(8)
def test_equals_the_closed_form(shape, dtype, tolerance):
    given = tensors(shape, dtype)
    axis = len(shape) - 1
    found = with_gradients(lambda x, g, b: fused.ghost_normalize(x, g, b, GHOST, EPSILON), *given)
    expected = with_gradients(
        lambda x, g, b: normalize.ghost_normalize(x, g, b, GHOST, axis, EPSILON), *given
    )
    for a, b in zip(found, expected, strict=True):
        assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


def test_a_mean_that_is_large_beside_the_deviation_loses_no_digits():
    x, gamma, beta, _ = tensors((16, 4, 4, 3), "float32", offset=1e4)
    y, _, variance = fused.ghost_normalize(x, gamma, beta, GHOST, EPSILON)
    groups = x.numpy().astype("float64").reshape(2, -1, 3)
    exact = groups.var(1)
    np.testing.assert_allclose(variance, exact.mean(0), rtol=1e-4)
    z = (groups - groups.mean(1, keepdims=True)) / np.sqrt(exact + EPSILON)[:, None]
    expected = z * gamma.numpy() + beta.numpy()
    assert np.abs(y.numpy().reshape(expected.shape) - expected).max() < 1e-2


def test_second_derivatives_equal_the_closed_forms():
    x, gamma, beta, v = tensors((16, 3, 3, 4), "float32", offset=0.0)

    def product(kernel):
        @tf.function(autograph=False)
        def run(x, gamma):
            with tf.GradientTape() as outer:
                outer.watch([x, gamma])
                with tf.GradientTape() as inner:
                    inner.watch([x, gamma])
                    loss = tf.reduce_sum(tf.tanh(kernel(x, gamma, beta)[0]) ** 2)
                gx, gg = inner.gradient(loss, [x, gamma])
                slope = tf.reduce_sum(gx * v) + tf.reduce_sum(gg)
            return outer.gradient(slope, [x, gamma])

        return run(x, gamma)

    found = product(lambda x, g, b: fused.ghost_normalize(x, g, b, GHOST, EPSILON))
    expected = product(lambda x, g, b: normalize.ghost_normalize(x, g, b, GHOST, 3, EPSILON))
    for a, b in zip(found, expected, strict=True):
        assert np.abs(a - b).max() < 1e-4 * np.abs(b).max()


def test_the_graph_does_not_grow_with_the_ghost_batches():
    def nodes(batch):
        x = tf.TensorSpec((batch, 4, 4, 3))

        @tf.function(autograph=False)
        def step(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = fused.ghost_normalize(x, None, None, GHOST, EPSILON)[0]
                loss = tf.reduce_sum(y**2)
            return tape.gradient(loss, x)

        definition = step.get_concrete_function(x).graph.as_graph_def()
        return len(definition.node) + sum(len(f.node_def) for f in definition.library.function)

    most = nodes(GHOST * fused.AT_ONCE)
    assert nodes(GHOST * 2) < most
    for count in (2, 4, 16):
        assert abs(nodes(GHOST * fused.AT_ONCE * count) - most) < most


@pytest.mark.parametrize("batch", [96, None])
def test_the_layer_takes_large_ghost_batches_to_it(batch):
    ghost, shape = 32, (64, 16, 4)
    layer = GhostBatchNormalization(ghost)
    layer.build((None, *shape))

    @tf.function(input_signature=[tf.TensorSpec((batch, *shape))], autograph=False)
    def run(x):
        return layer(x, training=True)

    x = tensors((96, *shape), "float32")[0]
    y, mean, _ = normalize.ghost_normalize(x, None, None, ghost, 3, 1e-3)
    np.testing.assert_allclose(run(x), y, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.01 * mean, rtol=1e-5)
    assert "FusedBatchNormV3" in operations(run.get_concrete_function())


def operations(concrete):
    definition = concrete.graph.as_graph_def()
    functions = (f.node_def for f in definition.library.function)
    return {node.op for nodes in (definition.node, *functions) for node in nodes}


def test_where_it_applies():
    x = tf.zeros((64, 32, 32, 4))
    assert fused.applies(x, 3, 32)
    assert not fused.applies(x, 3, 31)
    assert not fused.applies(x, 1, 32)
    assert not fused.applies(tf.cast(x, "float64"), 3, 32)
    with closed_form_only():
        assert not fused.applies(x, 3, 32)
    assert fused.applies(x, 3, 32)
    assert fused.applies(keras.KerasTensor((None, None, None, 4)), 3, 2)
    seen = []

    @tf.function(autograph=False)
    def inner(x):
        seen.append(fused.applies(x, 3, 32))
        return x

    inner(x)
    # Another length, so that it is traced again.
    tf.function(lambda x: inner(x + 1), jit_compile=True, autograph=False)(x[:32])
    assert seen == [True, False]
