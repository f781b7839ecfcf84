"""Gradients and functions of single examples beside values worked out by hand or in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import connectivity, loss_gradients_and_sensitivity
from tf_bdecay.sharpness.over_examples.tape import map_over_examples, with_tangents


@pytest.fixture
def variables():
    return [keras.Variable([1.0, -2.0]), keras.Variable([[3.0]]), keras.Variable([4.0])]


def objective(variables):
    a, b, _ = variables

    def value():
        loss = tf.reduce_sum(a.value**2) + 5 * b.value[0, 0]
        return loss, "outputs"

    return value


def test_values_of_one_backward_pass(variables):
    loss, aux, gradients, c = loss_gradients_and_sensitivity(objective(variables), variables)
    assert float(loss) == 20 and aux == "outputs"
    np.testing.assert_array_equal(gradients[0], [2, -4])
    np.testing.assert_array_equal(gradients[1], [[5]])
    assert gradients[2] is None  # left to the optimizer, which leaves such a variable as it is
    assert [float(x) for x in c] == [2 * 1 + 4 * 2, 5 * 3, 0]


def test_loss_scale_is_in_the_gradients_alone(variables):
    loss, _, gradients, c = loss_gradients_and_sensitivity(
        objective(variables), variables, scale_loss=lambda loss: loss * 1024
    )
    assert float(loss) == 20
    np.testing.assert_array_equal(gradients[0], [2048, -4096])
    assert [float(x) for x in c] == [10, 15, 0]


def test_sensitivities_may_be_left_out(variables):
    *_, gradients, c = loss_gradients_and_sensitivity(
        objective(variables), variables, sensitivities=False
    )
    assert c is None and len(gradients) == 3


def test_sparse_gradients_count_repeated_rows_once():
    table = keras.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    rows = tf.constant([0, 2, 2])

    def value():
        return tf.reduce_sum(tf.gather(table.value, rows) * [[1.0], [1.0], [-1.0]]), None

    _, _, (gradient,), (c,) = loss_gradients_and_sensitivity(value, [table])
    assert isinstance(gradient, tf.IndexedSlices)
    assert float(c) == 1 + 2  # the two uses of row 2 cancel before the absolute value


# Functions of single examples.


def mapped(function, *arrays):
    @tf.function(autograph=False)
    def run(*tensors):
        return map_over_examples(function, tensors)

    return run, run(*map(tf.constant, arrays))


def operations(run, *arrays):
    specs = [tf.TensorSpec(a.shape, a.dtype) for a in arrays]
    graph = run.get_concrete_function(*specs).graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return {node.op for node in nodes}


def test_values_are_those_of_single_examples():
    x, y = np.arange(12.0).reshape(4, 3), np.arange(4.0)
    run, (sums, scaled) = mapped(lambda e: (tf.reduce_sum(e[0]), e[0] * e[1]), x, y)
    np.testing.assert_allclose(sums, x.sum(1))
    np.testing.assert_allclose(scaled, x * y[:, None])
    assert not any("While" in kind for kind in operations(run, x, y))


def test_products_that_oneDNN_gets_wrong_run_one_by_one(monkeypatch):
    """Those that are written out of bounds where oneDNN runs; here it is off, and only promised."""
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(13, 3, 4)).astype("float32"), rng.normal(size=(4, 16))
    weight = tf.constant(w.astype("float32"))
    run, products = mapped(lambda e: tf.raw_ops.BatchMatMulV2(x=e[0][None], y=weight), x)
    np.testing.assert_allclose(products[:, 0], x @ w, rtol=1e-4, atol=1e-5)
    assert any("While" in kind for kind in operations(run, x))


def test_convolutions_that_oneDNN_gets_wrong_are_refused(monkeypatch):
    """Differentiated for one example, this convolution aborts the process likewise."""
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)

    def strided(channels, size):
        kernel = tf.ones((size, size, channels, 8))
        images = np.ones((2, 8, 8, channels), "float32")
        return mapped(lambda e: tf.nn.conv2d(e[0][None], kernel, 2, "SAME"), images)

    with pytest.raises(BadInput, match="set the environment variable TF_ENABLE_ONEDNN_OPTS=0"):
        strided(channels=4, size=1)
    strided(channels=16, size=1)
    strided(channels=4, size=3)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    strided(channels=4, size=1)


# Loops that TensorFlow cannot follow.

RECURRENT = {
    "LSTM": lambda: [keras.layers.Dense(3), keras.layers.LSTM(2)],
    "GRU": lambda: [keras.layers.GRU(3, return_sequences=True), keras.layers.GRU(2)],
    "SimpleRNN": lambda: [keras.layers.Conv1D(3, 2), keras.layers.SimpleRNN(2)],
    "own": lambda: [keras.layers.Dense(3), Accumulates()],
}


class Accumulates(keras.layers.Layer):
    """A loop of the user's own."""

    def call(self, x):
        def step(i, h):
            return i + 1, tf.tanh(h + tf.gather(x, i, axis=1))

        start = tf.constant(0), tf.zeros_like(x[:, 0])
        return tf.while_loop(lambda i, h: i < x.shape[1], step, start)[1]


def recurrent(name):
    keras.utils.set_random_seed(0)
    body = RECURRENT[name]()
    model = keras.Sequential([keras.Input((4, 3)), *body, keras.layers.Dense(2)])
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(5, 4, 3)).astype("float32"), rng.normal(size=(5, 2))


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.quick_rows(1)
def test_single_examples_behind_a_loop(name, caplog, monkeypatch):
    model, x, y = recurrent(name)
    expected = []
    for i in range(5):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x[i : i + 1]) - y[i : i + 1]) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        values = zip(gradients, model.trainable_variables, strict=True)
        expected.append([np.abs(g * v.numpy()).sum() for g, v in values])
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    result = connectivity(model, "mse", (x, y.astype("float32")))
    np.testing.assert_allclose(result.shares, np.mean(expected, 0), rtol=1e-4, atol=1e-7)
    assert not caplog.records  # of a try that failed, whose stack TensorFlow logs


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.quick_rows(2)
def test_tangents_through_a_loop(name):
    """Against a central difference, in double precision."""
    keras.config.set_dtype_policy("float64")
    model, x, _ = recurrent(name)
    values = [tf.convert_to_tensor(v.value) for v in model.trainable_variables]
    rng = np.random.default_rng(1)
    tangents = [tf.constant(rng.normal(size=v.shape)) for v in values]

    def outputs(values):
        pairs = list(zip(model.trainable_variables, values, strict=True))
        with keras.StatelessScope(state_mapping=pairs):
            return model(x.astype("float64"))

    @tf.function(autograph=False)
    def run():
        return with_tangents(lambda: (None, outputs(values)), values, tangents)

    _, tensor, u = run()
    step = 1e-5
    ahead, behind = (
        outputs([v + sign * step * t for v, t in zip(values, tangents, strict=True)])
        for sign in (1, -1)
    )
    np.testing.assert_allclose(tensor, outputs(values), rtol=1e-12)
    np.testing.assert_allclose(u, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)


def test_an_error_of_the_function_itself_comes_through():
    with pytest.raises(ZeroDivisionError):
        mapped(lambda e: e[0] / (1 // 0), np.ones((2, 3)))
