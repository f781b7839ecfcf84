"""SAM and ASAM in the train step equal plain float64 TensorFlow, however they are run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_bdecay
from tests.processes import ended
from tests.training import small
from tests.training.step import test_skipping
from tf_bdecay import SharpnessAware
from tf_bdecay.errors import BadInput
from tf_bdecay.training.step.sharpness_aware import gradients_above

KINDS = ("sam", "asam")


def forward(theta, x):
    kernel, bias, head = theta
    return tf.tanh(x @ kernel + bias) @ head


def mean_gradient(theta, x, y):
    with tf.GradientTape() as tape:
        tape.watch(theta)
        loss = tf.reduce_mean(tf.square(forward(theta, x) - y))
    return float(loss), tape.gradient(loss, theta)


def oracle(theta, x, y, kind, rho, rate, eta=0.01):
    """One update of plain gradient descent, as the papers write it; and the loss at theta."""
    theta = [tf.constant(t) for t in theta]
    loss, g = mean_gradient(theta, x, y)
    t = [np.abs(v) + eta if kind == "asam" else np.ones(v.shape) for v in theta]
    norm = np.sqrt(sum(np.sum(np.square(a * b)) for a, b in zip(t, g, strict=True)))
    above = [v + rho * a**2 * b / norm for v, a, b in zip(theta, t, g, strict=True)]
    _, g = mean_gradient(above, x, y)
    return loss, [v - rate * d for v, d in zip(theta, g, strict=True)]


@pytest.mark.parametrize("micro_batch_size", [None, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_an_update_is_that_of_the_papers(kind, micro_batch_size):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    x = keras.layers.Dense(4, "tanh", bias_initializer="normal")(inputs)
    made = tf_bdecay.Trainer.of(keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(x)))
    aware = SharpnessAware(kind, rho=0.3)
    optimizer = keras.optimizers.SGD(0.5)
    made.compile(
        optimizer, "mse", micro_batch_size=micro_batch_size, sharpness_aware=aware,
        jit_compile=False,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 3)), rng.normal(size=(32, 2))
    before = small.values(made.trainable_variables)
    loss, expected = oracle(before, x, y, kind, 0.3, 0.5)
    assert made.train_on_batch(x, y) == pytest.approx(loss, rel=1e-12)
    plain = mean_gradient([tf.constant(v) for v in before], x, y)[1]
    for new, right, old, g in zip(made.trainable_variables, expected, before, plain, strict=True):
        np.testing.assert_allclose(new.numpy() - old, right - old, rtol=1e-10)
        assert np.abs(right - (old - 0.5 * g)).max() > 1e-3  # not the update without it


def sgd(rate=0.1, **arguments):
    """An optimizer whose updates take no time to compile."""
    return tf_bdecay.SGD(rate, compile_update=False, **arguments)


def fitted(kind="sam", updates=4, optimizer=None, **arguments):
    """Changes of the weights, statistics, optimizer state, losses after some updates."""
    aware = SharpnessAware(kind)
    made = small.trainer(optimizer or sgd(), sharpness_aware=aware, **arguments)
    start = small.values(made.trainable_variables)
    x, y = small.digits(128)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(64, drop_remainder=True).repeat()
    history = made.fit(data, steps_per_epoch=2, epochs=updates // 2, verbose=0).history
    changes = [a - b for a, b in zip(small.values(made.trainable_variables), start, strict=True)]
    kept = small.values([*made.non_trainable_variables, *made.optimizer.variables])
    return changes, kept, history


def assert_equal(a, b, tolerance=1e-4):
    for u, v in zip(a[0], b[0], strict=True):
        assert np.linalg.norm(u - v) <= tolerance * np.linalg.norm(u)
    for u, v in zip(a[1], b[1], strict=True):
        np.testing.assert_allclose(v, u, rtol=10 * tolerance, atol=10 * tolerance)
    for name in a[2]:
        np.testing.assert_allclose(b[2][name], a[2][name], rtol=tolerance)


def test_micro_batches_give_the_update_of_the_whole_batch():
    whole, cut = (fitted("asam", micro_batch_size=size) for size in (None, 16))
    assert_equal(whole, cut)


@pytest.mark.slow
@pytest.mark.parametrize("way", [{"steps_per_execution": 2}, {"run_eagerly": True}])
def test_however_it_is_run(way):
    policy = tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.02)
    assert_equal(*(fitted(optimizer=tf_bdecay.Lamb(0.01, policy), **w) for w in ({}, way)))


@pytest.mark.slow
def test_compiled_by_xla():
    """The whole step, as the update inside it is compiled anyway."""
    results = []
    for compiled in (False, True):
        made = small.trainer(tf_bdecay.SGD(0.1), sharpness_aware=SharpnessAware("asam"))
        made.jit_compile = compiled
        x, y = small.digits(64)
        made.fit(x, y, batch_size=32, shuffle=False, verbose=0)
        results.append(small.values(made.trainable_variables))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_statistics_and_seeds_move_once_and_both_passes_draw_the_same_masks():
    """At a vanishing radius the first update is then the one without SAM, with dropout too."""
    kept, weights = [], []
    for aware in (None, SharpnessAware(rho=1e-12), SharpnessAware(rho=1.0)):
        made = small.trainer(sgd(), dropout=0.5, sharpness_aware=aware)
        assert any("seed_generator_state" in v.path for v in made.non_trainable_variables)
        loss = made.train_on_batch(*small.digits(64))[0]
        kept.append([loss, *small.values(made.non_trainable_variables)])
        weights.append(small.values(made.trainable_variables))
    for a, b, c in zip(*kept, strict=True):  # the first pass is at the same weights in each
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    for a, b in zip(*weights[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    assert any(np.abs(a - c).max() > 1e-3 for a, c in zip(*weights[::2], strict=True))


@pytest.mark.parametrize("micro_batch_size", [None, 8])
def test_a_gradient_that_is_not_finite_skips_the_update(micro_batch_size):
    made = test_skipping.trainer(
        sgd(use_ema=True), sharpness_aware=SharpnessAware(), micro_batch_size=micro_batch_size
    )
    test_skipping.assert_nothing_moved(made, test_skipping.spoilt(np.nan))
    assert made.optimizer.totals()["skipped_updates"] == 1


def test_a_second_gradient_alone_that_is_not_finite_skips_too():
    made = test_skipping.trainer(sgd())
    made.train_on_batch(test_skipping.X[:16], test_skipping.Y[:16])
    before = test_skipping.values(made)
    made.sharpness_aware = SharpnessAware(rho=1e38)  # logits leave float32
    made.make_train_function(force=True)
    loss = made.train_on_batch(test_skipping.X[:16], test_skipping.Y[:16])
    assert np.isfinite(loss)
    assert made.optimizer.totals()["skipped_updates"] == 1
    for name, value in test_skipping.values(made).items():
        np.testing.assert_array_equal(before[name], value, err_msg=name)


def test_a_first_gradient_alone_that_is_not_finite_skips_too():
    """Whatever the second one is: a ReLU may swallow a NaN on the way to it."""
    variables = [keras.Variable([1.0, 2.0])]
    optimizer = keras.optimizers.SGD(0.1)

    def at(steps):
        return [tf.constant([3.0, 4.0])]

    for first, finite in (([1.0, np.inf], False), ([1.0, 1.0], True)):
        found = gradients_above(SharpnessAware(), optimizer, variables, [tf.constant(first)], at)
        assert np.isfinite(found[0]).all() == finite


def test_the_scale_of_the_loss_is_undone_before_the_ascent():
    scaled = tf_bdecay.LossScaleOptimizer(sgd(), initial_scale=2.0**10)
    changes, _, _ = fitted(updates=2, optimizer=scaled)
    expected, _, _ = fitted(updates=2)
    for a, b in zip(changes, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7)


def test_in_half_precision_an_overflow_is_skipped_and_the_scale_halved():
    keras.config.set_dtype_policy("mixed_float16")
    made = small.trainer(sgd(), sharpness_aware=SharpnessAware())
    optimizer = made.optimizer
    optimizer.dynamic_scale.assign(2.0**40)
    before = small.values(made.trainable_variables)
    made.train_on_batch(*small.digits(64))
    for a, b in zip(small.values(made.trainable_variables), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(optimizer.dynamic_scale.numpy()) == 2.0**39
    optimizer.dynamic_scale.assign(2.0**8)
    made.train_on_batch(*small.digits(64))
    assert optimizer.inner_optimizer.totals()["updates"] == 1


def test_the_optimizer_decides_by_the_gradient_that_it_gets():
    found = {}
    for rho in (1e-9, 5.0):
        made = small.trainer(sgd(0.0), sharpness_aware=SharpnessAware(rho=rho))
        made.get_layer("norm_1").beta.assign(np.linspace(-1, 1, 8))
        made.train_on_batch(*small.digits(64))
        found[rho] = made.optimizer.decision().sensitivity
    assert not np.allclose(found[1e-9], found[5.0], rtol=0.05)


def test_state_that_is_not_the_models_is_refused():
    counter = keras.Variable(0.0, trainable=False, name="calls")

    class Counts(keras.layers.Layer):
        def call(self, x):
            counter.assign(counter + 1)
            return x

    inputs = keras.Input((3,))
    made = tf_bdecay.Trainer.of(keras.Model(inputs, keras.layers.Dense(1)(Counts()(inputs))))
    made.compile(tf_bdecay.SGD(0.1), "mse", sharpness_aware=SharpnessAware(), jit_compile=False)
    with pytest.raises(BadInput, match="assigns 'calls', which micro-batches and SharpnessAware"):
        made.train_on_batch(np.ones((4, 3)), np.ones((4, 1)))


def test_a_variable_without_a_gradient_does_not_move():
    steps, finite = SharpnessAware(rho=5.0).steps(
        [None, tf.constant([3.0, 4.0])], [tf.constant(1.0), tf.constant([0.0, 0.0])]
    )
    assert steps[0] is None and bool(finite)
    np.testing.assert_allclose(steps[1], [3.0, 4.0])
    steps, finite = SharpnessAware().steps([tf.constant([0.0])], [tf.constant([1.0])])
    assert bool(finite) and steps[0].numpy() == [0.0]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"kind": "asm"}, "kind of SharpnessAware.*did you mean 'asam'|Unknown kind"),
        ({"rho": 0}, "`rho` of SharpnessAware must be .*> 0"),
        ({"rho": np.nan}, "`rho` of SharpnessAware must be"),
        ({"rho": "0.1"}, "`rho` of SharpnessAware must be"),
        ({"kind": "asam", "eta": -1}, "`eta` of SharpnessAware must be"),
        ({"eta": 0.01}, "`eta` of SharpnessAware is asam's.*Received: eta=0.01"),
    ],
)
def test_arguments_that_are_wrong(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        SharpnessAware(**arguments)


def test_what_is_none_is_refused_by_compile():
    with pytest.raises(BadInput, match="must be a tf_bdecay.SharpnessAware.*Received.*'sam'"):
        small.trainer(sharpness_aware="sam")


def test_it_is_saved_with_the_model(tmp_path):
    made = small.trainer(sharpness_aware=SharpnessAware("asam", 0.3, 0.1))
    made.save(tmp_path / "trainer.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras").sharpness_aware
    assert loaded.get_config() == {"kind": "asam", "rho": 0.3, "eta": 0.1}
    small.trainer().save(tmp_path / "plain.keras")
    assert keras.models.load_model(tmp_path / "plain.keras").sharpness_aware is None


def on_two_replicas():
    """How far two replicas are from one device, and from each other."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    one = fitted("asam", optimizer=tf_bdecay.Lamb(0.01))
    for micro_batch_size in (None, 16):
        with strategy.scope():
            optimizer = tf_bdecay.Lamb(0.01)
            two = fitted("asam", optimizer=optimizer, micro_batch_size=micro_batch_size)
        assert_equal(one, two)
    with strategy.scope():
        made = test_skipping.trainer(sharpness_aware=SharpnessAware())
    local = strategy.experimental_local_results
    metrics = {id(v) for v in made.metrics_variables}

    def copies():
        kept = [v for v in made.variables if id(v) not in metrics]
        return [[c.numpy() for c in local(v.value)] for v in kept]

    before = copies()
    data = tf.data.Dataset.from_tensor_slices((test_skipping.spoilt(np.nan), test_skipping.Y[:16]))
    made.fit(data.batch(16, drop_remainder=True), verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(before, copies(), strict=True)]
    print("skipped", made.optimizer.totals()["skipped_updates"], len(same) - sum(same))


@pytest.mark.slow
def test_two_replicas_are_one_device():
    """In a process of its own: the devices are made at its start."""
    program = "from tests.training.step import test_sharpness_aware as t; t.on_two_replicas()"
    done = ended(["-c", program])
    assert done.stdout.split() == ["skipped", "1", "0"], done.stderr[-2000:]
