"""The layer under TensorFlow: unknown batch sizes, XLA, second derivatives, two replicas.

A file of its own, as JAX's tests import test_ghost_batch_norm.py and need no TensorFlow.
"""

import json

import keras
import numpy as np
import numpy_reference
import pytest
import tensorflow as tf

from tests.processes import ended
from tf_bdecay.batch_checks import one_sentence
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization

UNKNOWN_BATCH = [tf.TensorSpec((None, 3, 3, 2))]


def data(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(1.0, 2.0, shape).astype(dtype)


def graph(layer, jit_compile=False, signature=UNKNOWN_BATCH):
    """The layer's outputs and its input gradient, of sum(sin y), as a graph."""
    layer.build((None, 3, 3, 2))

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            value = tf.reduce_sum(tf.sin(y))
        return y, tape.gradient(value, x)

    return step


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("partial, batches", [("error", (8, 4)), ("smaller", (8, 10, 3, 5))])
def test_one_graph_for_every_batch_size(jit_compile, partial, batches):
    layer = GhostBatchNormalization(4, partial=partial, momentum=0.0, epsilon=1e-5)
    step = graph(layer, jit_compile)
    for batch in batches:
        x = data(batch, 3, 3, 2)
        y, dx = step(x)
        wanted, mean, variance = numpy_reference.forward(x, 1.0, 0.0, 4, 3, 1e-5)
        wanted_dx, _, _ = numpy_reference.backward(x, 1.0, np.cos(wanted), 4, 3, 1e-5)
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(dx, wanted_dx, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
        np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)


def test_unknown_positions():
    layer = GhostBatchNormalization(4, epsilon=1e-5)
    step = graph(layer, signature=[tf.TensorSpec((None, None, None, 2))])
    for size in (2, 5):
        x = data(8, size, size, 2)
        wanted, _, _ = numpy_reference.forward(x, 1.0, 0.0, 4, 3, 1e-5)
        np.testing.assert_allclose(step(x)[0], wanted, rtol=1e-4, atol=1e-5)


def test_a_remainder_of_one_value_a_channel_is_its_own_mean():
    layer = GhostBatchNormalization(
        4, partial="smaller", beta_initializer=keras.initializers.Ones()
    )
    layer.build((None, 2))
    step = tf.function(
        lambda x: layer(x, training=True), input_signature=[tf.TensorSpec((None, 2))]
    )
    for batch in (5, 1):
        np.testing.assert_allclose(step(data(batch, 2))[-1], [1.0, 1.0], rtol=1e-5)


@pytest.mark.parametrize("batch", [6, 3, 0])
def test_a_batch_known_only_at_run_time_that_does_not_divide(batch):
    layer = GhostBatchNormalization(4, name="bn")
    step = graph(layer)
    with pytest.raises(tf.errors.InvalidArgumentError, match="ghost_batch_size=4 must divide"):
        step(data(batch, 3, 3, 2))
    np.testing.assert_array_equal(layer.moving_mean.numpy(), np.zeros(2))


def test_an_empty_batch_known_only_at_run_time():
    step = graph(GhostBatchNormalization(4, partial="smaller"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="must not be empty"):
        step(data(0, 3, 3, 2))


def test_xla_fails_too_where_the_ghost_batch_does_not_divide():
    step = graph(GhostBatchNormalization(4), jit_compile=True)
    with pytest.raises(BadInput, match="^ghost_batch_size=4 must divide .* = 6$"), one_sentence():
        step(data(6, 3, 3, 2))


def test_fit_refuses_before_any_update_where_the_batch_size_is_known():
    model = keras.Sequential([keras.Input((3,)), GhostBatchNormalization(4), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    x = data(12, 3)
    batches = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(6, drop_remainder=True)
    with pytest.raises(BadInput, match="ghost_batch_size=4 must divide .* = 6$"):
        model.fit(batches, verbose=0)
    assert int(model.optimizer.iterations) == 0


def plain(layer, x):
    """The layer's training outputs, left to automatic differentiation.

    Not by tf.nn.moments, as Keras does it: it stops the gradient of the mean within the variance,
    which is right for first derivatives and wrong for second ones.
    """
    groups = tf.reshape(x, (-1, layer.ghost_batch_size, *x.shape[1:]))
    mean = tf.reduce_mean(groups, (1, 2, 3), keepdims=True)
    variance = tf.reduce_mean(tf.square(groups - mean), (1, 2, 3), keepdims=True)
    y = tf.nn.batch_normalization(
        groups, mean, variance, layer.beta.value, layer.gamma.value, layer.epsilon
    )
    return tf.reshape(y, x.shape)


@pytest.mark.parametrize("compiled", ["eager", "graph", "xla"])
@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.quick_rows(2)
def test_hessian_vector_products_in_float64(mode, compiled):
    """Over reverse mode: what a trace or an eigenvalue of the Hessian is measured with."""
    layer = GhostBatchNormalization(4, epsilon=1e-3, dtype="float64")
    layer.build((None, 3, 3, 2))
    layer.gamma.assign([0.5, 2.0])
    x, kernel = (tf.constant(data(*s, dtype="float64")) for s in [(8, 3, 3, 5), (5, 2)])
    theta = [kernel, layer.gamma.value, layer.beta.value]
    direction = [tf.constant(data(*t.shape, seed=1, dtype="float64")) for t in theta]

    def gradient(normalize, parameters):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            loss = tf.reduce_sum(tf.sin(3.0 * normalize(tf.nn.relu(x) @ parameters[0])))
        return tape.gradient(loss, parameters)

    def product(normalize):
        if mode == "forward":
            with tf.autodiff.ForwardAccumulator(theta, direction) as forward:
                gradients = gradient(normalize, theta)
            return [forward.jvp(g) for g in gradients]
        with tf.GradientTape() as tape:
            tape.watch(theta)
            gradients = gradient(normalize, theta)
            along = tf.add_n(
                [tf.reduce_sum(g * d) for g, d in zip(gradients, direction, strict=True)]
            )
        return tape.gradient(along, theta)

    wrap = {
        "eager": lambda f: f,
        "graph": tf.function,
        "xla": tf.function(jit_compile=True),
    }[compiled]
    ours = wrap(lambda: product(lambda z: layer(z, training=True)))()
    wanted = product(lambda z: plain(layer, z))
    for a, b in zip(ours, wanted, strict=True):
        assert np.abs(b).max() > 1e-2
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_float64_stays_float64():
    layer = GhostBatchNormalization(4, epsilon=1e-5, dtype="float64", momentum=0.0)
    x = data(8, 3, 3, 2, dtype="float64")
    y = layer(x, training=True)
    wanted, mean, variance = numpy_reference.forward(x, 1.0, 0.0, 4, 3, 1e-5)
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-12)


# Two replicas on two logical CPUs, in a process of its own: the devices are made at its start.

PROGRAM = """
import json, sys
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from tf_bdecay.layers import GhostBatchNormalization, fused

fused.WORTH_AN_OP = 0  # small as they are: the kernel that is a loop of its own
rng = np.random.default_rng(0)
x = rng.normal(2.0, 3.0, (48, 4, 4, 3)).astype("float32") + np.arange(48)[:, None, None, None]
y = rng.normal(size=(48, 2)).astype("float32")


def trained(strategy):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(5, 3, use_bias=False),
            GhostBatchNormalization(4, momentum=0.5),
            keras.layers.Activation("tanh"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ])
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    start = [w.tolist() for w in model.get_weights()]
    model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    copies = [[c.numpy().tolist() for c in strategy.experimental_local_results(v.value)]
              for v in model.variables if "moving" in v.path]
    return dict(start=start, end=[w.tolist() for w in model.get_weights()], copies=copies,
                replicas=strategy.num_replicas_in_sync)


found = dict(single=trained(tf.distribute.get_strategy()),
             mirrored=trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])))
json.dump(found, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("replicas") / "found.json"
    done = ended(["-c", PROGRAM, str(path)])
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(path.read_text())


def test_two_replicas_are_one_device_with_the_same_global_batch(runs):
    """8 of a batch of 16 to each replica: the same ghost batches of 4, statistics averaged."""
    assert (runs["single"]["replicas"], runs["mirrored"]["replicas"]) == (1, 2)
    columns = (runs["single"]["start"], runs["single"]["end"], runs["mirrored"]["end"])
    for start, single, mirrored in zip(*columns, strict=True):
        change = np.subtract(single, start)
        assert np.abs(change).max() > 1e-3
        np.testing.assert_allclose(np.subtract(mirrored, start), change, rtol=1e-3, atol=1e-5)


def test_copies_of_the_moving_statistics_stay_equal(runs):
    for first, second in runs["mirrored"]["copies"]:
        assert first == second
