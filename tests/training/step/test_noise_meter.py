"""The noise meter in the train step equals NumPy batch by batch, however a batch is split."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_bdecay
from tests.processes import ended
from tests.training import small
from tf_bdecay import gradient_noise
from tf_bdecay.errors import BadInput

SCRIPT = pathlib.Path(__file__).with_name("noise_script.py")
EXAMPLES, BATCH, MICRO = 96, 24, 4


def data(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(0.5, 1.0, size=(EXAMPLES, 3)).astype("float32")
    return x, (x @ [[1.0], [-2.0], [0.5]] + rng.normal(size=(EXAMPLES, 1))).astype("float32")


def gradients(made, x, y, weights=1.0):
    """Of every example's squared error, in float64: [examples, parameters]."""
    kernel, bias = (v.numpy().astype("float64") for v in made.trainable_variables)
    residual = x.astype("float64") @ kernel + bias - y
    return np.asarray(weights).reshape(-1, 1) * 2 * residual * np.c_[x, np.ones(len(x))]


def expected(g, sizes):
    """|G|^2 and S of one batch whose consecutive parts have these sizes and count alike."""
    parts = [p.mean(0) for p in np.split(g, np.cumsum(sizes)[:-1])]
    small, whole = np.mean([p @ p for p in parts]), np.mean(parts, axis=0)
    size = 1 / np.mean(1 / np.array(sizes))
    return gradient_noise.estimates(small, whole @ whole, size, len(sizes) * size)


def trainer(optimizer=None, micro_batch_size=MICRO, loss="mse", **arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    made = tf_bdecay.Trainer.of(keras.Model(inputs, keras.layers.Dense(1)(inputs)))
    optimizer = optimizer or tf_bdecay.SGD(0.0, compile_update=False)
    arguments = {"jit_compile": False, **arguments}
    made.compile(optimizer, loss, micro_batch_size=micro_batch_size, **arguments)
    return made


def means(made):
    state = made.noise_meter.state()
    return state["gradient_square"], state["gradient_noise"]


def assert_measured(made, found, **counts):
    assert means(made) == pytest.approx(np.mean(found, axis=0), rel=1e-4)
    state = made.noise_meter.state()
    assert {name: state[name] for name in counts} == counts


def fit(made, x, y, epochs=1, updates=10**6, **arguments):
    made.measure_gradient_noise(updates)
    made.fit(x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, **arguments)


def batches(*arrays):
    cut = range(0, EXAMPLES, BATCH)
    return [tuple(a[begin : begin + BATCH] for a in arrays) for begin in cut]


@pytest.mark.parametrize(
    "way", [{}, {"run_eagerly": True}, {"steps_per_execution": 2}, {"jit_compile": True}]
)
@pytest.mark.quick_rows(2)
def test_every_update_gives_what_numpy_finds_however_it_is_run(way):
    made = trainer(**way)
    x, y = data()
    fit(made, x, y)
    found = [expected(gradients(made, *b), [MICRO] * 6) for b in batches(x, y)]
    assert_measured(made, found, measured=4, left_out=0, batch=BATCH, parts=6)
    shares, square, noise = [], 0.0, 0.0
    for t, (one, other) in enumerate(found, 1):
        square, noise = square + (one - square) / t, noise + (other - noise) / t
        scale = gradient_noise.noise_scale(square, noise)
        shares.append(gradient_noise.update_share(BATCH, scale))
    share = made.noise_meter.state()["update_share"]
    assert share == pytest.approx(np.mean(shares), rel=1e-4)


def test_on_the_quadratic_they_come_to_the_known_noise_scale():
    """S and |G|^2 of all the data, from many shuffled epochs at weights that stay."""
    made = trainer()
    x, y = data()
    made.measure_gradient_noise(10**6)
    # Keras' own shuffle of arrays has one order for all epochs once a seed is set.
    shuffled = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(EXAMPLES, seed=0).batch(BATCH)
    made.fit(shuffled.repeat(200), verbose=0, shuffle=False)
    g = gradients(made, x, y)
    trace = np.trace(np.cov(g.T, ddof=1))
    square = g.mean(0) @ g.mean(0) - trace / EXAMPLES
    assert means(made) == pytest.approx((square, trace), rel=0.05)
    # The same norms taken for those of micro-batches half as large are far off.
    small, big = square + trace / MICRO, square + trace / BATCH
    wrong = gradient_noise.estimates(small, big, MICRO / 2, BATCH)
    assert wrong[1] != pytest.approx(trace, rel=0.3)


def test_the_means_forget_after_so_many_updates():
    made = trainer()
    x, y = data()
    fit(made, x, y, updates=2)
    a, b, c, d = (np.array(expected(gradients(made, *p), [MICRO] * 6)) for p in batches(x, y))
    mean = (a + b) / 2
    for one in (c, d):
        mean = mean + (one - mean) / 2
    assert means(made) == pytest.approx(mean, rel=1e-4)


def test_an_epoch_s_last_smaller_batch_counts_as_what_it_is():
    made = trainer()
    x, y = (a[: BATCH + 8] for a in data())
    fit(made, x, y)
    found = [
        expected(gradients(made, x[:BATCH], y[:BATCH]), [MICRO] * 6),
        expected(gradients(made, x[BATCH:], y[BATCH:]), [MICRO] * 2),
    ]
    assert_measured(made, found, measured=2, left_out=0, batch=BATCH, parts=2)
    fit(made, x[: BATCH + 4], y[: BATCH + 4])
    assert made.noise_meter.state()["left_out"] == 1  # a batch of one part


def test_sums_and_weights_on_the_examples():
    """Weights belong to the examples; a sum's gradients are as many times larger."""
    x, y = data()
    weights = np.random.default_rng(2).uniform(0.5, 2, EXAMPLES).astype("float32")
    made = trainer()
    fit(made, x, y, sample_weight=weights)
    found = [expected(gradients(made, *b), [MICRO] * 6) for b in batches(x, y, weights)]
    assert_measured(made, found, measured=4, left_out=0)
    made = trainer(loss=keras.losses.MeanSquaredError(reduction="sum"))
    fit(made, x, y)
    found = [np.array(expected(gradients(made, *b), [MICRO] * 6)) for b in batches(x, y)]
    assert_measured(made, [BATCH**2 * f for f in found], measured=4)


def test_padded_examples_leave_an_update_out():
    x, y = data()
    weights = np.ones(EXAMPLES, "float32")
    weights[-3:] = 0
    made = trainer()
    fit(made, x, y, sample_weight=weights)
    found = [expected(gradients(made, *b), [MICRO] * 6) for b in batches(x, y)[:3]]
    assert_measured(made, found, measured=3, left_out=1)


@pytest.mark.parametrize("ours", [True, False])
def test_updates_that_are_skipped_are_none(ours):
    x, y = data()
    x[BATCH] = np.nan  # the second update of four
    made = trainer(None if ours else keras.optimizers.SGD(0.0))
    before = made.get_weights()
    made.measure_gradient_noise(100)
    for part in batches(x, y):
        made.train_on_batch(*part)
        if not ours:  # Keras' own does not skip
            made.set_weights(before)
    found = [expected(gradients(made, *b), [MICRO] * 6) for b in batches(x, y)]
    assert_measured(made, [found[0], *found[2:]], measured=3, left_out=0)


def test_the_scale_of_the_loss_is_no_part_of_it():
    x, y = data()
    inner = tf_bdecay.SGD(0.0, compile_update=False)
    for optimizer in (
        tf_bdecay.LossScaleOptimizer(inner, initial_scale=512.0),
        tf_bdecay.SGD(0.0, compile_update=False, loss_scale_factor=64.0),
    ):
        made = trainer(optimizer)
        fit(made, x, y)
        found = [expected(gradients(made, *b), [MICRO] * 6) for b in batches(x, y)]
        assert_measured(made, found, measured=4)


@pytest.mark.slow
def test_in_float16_an_overflow_is_skipped_and_the_rest_is_as_in_float32():
    scales = {}
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        optimizer = tf_bdecay.Lamb(0.0, compile_update=False)
        if policy == "mixed_float16":
            optimizer = tf_bdecay.LossScaleOptimizer(optimizer, initial_scale=2.0**24)
        made = small.trainer(optimizer, micro_batch_size=16)
        x, y = small.digits(512)
        made.measure_gradient_noise(100)
        made.fit(x, y, batch_size=64, epochs=4, shuffle=False, verbose=0)
        skipped = getattr(made.optimizer, "inner_optimizer", made.optimizer).totals()
        state = made.noise_meter.state()
        assert state["measured"] == 32 - skipped["skipped_updates"]
        scales[policy] = state["gradient_noise"] / state["gradient_square"]
    assert 0 < skipped["skipped_updates"] < 16
    assert scales["mixed_float16"] == pytest.approx(scales["float32"], rel=0.1)


def test_training_is_the_same_with_it_to_the_bit():
    weights = []
    for measured in (False, True):
        made = small.trainer(tf_bdecay.Lamb(0.01), dropout=0.2, micro_batch_size=16)
        if measured:
            made.measure_gradient_noise(100)
        x, y = small.digits(128)
        history = made.fit(x, y, batch_size=64, shuffle=False, verbose=0).history
        weights.append([*small.values(made.variables), history["loss"]])
    assert made.noise_meter.state()["measured"] == 2
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any("gradient_square" in v.path for v in made.variables)  # no part of the model


def test_a_trainer_that_was_fitted_before_is_traced_anew_and_then_goes_on():
    made = trainer()
    x, y = data()
    made.fit(x, y, batch_size=BATCH, verbose=0)
    meter = made.measure_gradient_noise(50)
    made.fit(x, y, batch_size=BATCH, verbose=0)
    function = made.train_function
    assert made.measure_gradient_noise(50) is meter and made.train_function is function
    made.fit(x, y, batch_size=BATCH, verbose=0)
    assert meter.state()["measured"] == 8
    other = made.measure_gradient_noise(60)
    other.assign(meter.state())
    assert other.state() == meter.state()
    with pytest.raises(BadInput, match="The state of GradientNoiseScale must have"):
        other.assign({"measured": 1})
    made.compile(tf_bdecay.SGD(0.0), "mse", micro_batch_size=MICRO)
    assert made.noise_meter is None


def masked():
    inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(7, 4, mask_zero=True)(inputs)
    return keras.Model(inputs, keras.layers.TimeDistributed(keras.layers.Dense(1))(x))


def test_what_counts_examples_differently_is_refused():
    x, y = data()
    made = trainer(loss=keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"))
    fit(made, x, y)  # without weights it is a mean
    assert made.noise_meter.state()["measured"] == 4
    made = trainer(loss=keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"))
    with pytest.raises(BadInput, match="^GradientNoiseScale needs a loss in which every example"):
        fit(made, x, y, sample_weight=np.ones(EXAMPLES))
    made = tf_bdecay.Trainer.of(masked())
    made.compile(tf_bdecay.SGD(0.1), "mse", micro_batch_size=MICRO)
    tokens = np.random.default_rng(0).integers(0, 7, [EXAMPLES, 5])
    with pytest.raises(BadInput, match="divides by what a mask keeps"):
        fit(made, tokens, np.zeros([EXAMPLES, 5, 1]))


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"micro_batch_size": None}, "Received: micro_batch_size=None, 1 replica"),
        ({"sharpness_aware": tf_bdecay.SharpnessAware()}, "leave one of them out"),
    ],
)
def test_a_batch_without_parts_is_refused(arguments, says):
    with pytest.raises(BadInput, match=says):
        trainer(**arguments).measure_gradient_noise(100)
    with pytest.raises(BadInput, match="`updates` of GradientNoiseScale"):
        trainer().measure_gradient_noise(0)


@pytest.fixture(scope="module")
def on_replicas():
    done = ended([str(SCRIPT)])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_on_two_replicas_parts_are_what_each_has(on_replicas):
    assert on_replicas["replicas"] == pytest.approx(on_replicas["numpy, replicas"], rel=1e-4)
    assert on_replicas["micro-batches"] == pytest.approx(
        on_replicas["numpy, micro-batches"], rel=1e-4
    )
    assert on_replicas["counts"] == {"measured": 4, "left_out": 0, "batch": BATCH, "parts": 2}
    assert on_replicas["copies equal"]


def test_on_replicas_the_optimizer_must_keep_norms(on_replicas):
    assert on_replicas["refused"].startswith(
        "On several replicas GradientNoiseScale takes the norm"
    )
    assert on_replicas["refused"].endswith("Received: SGD, 2 replicas")


def test_the_squared_norm_leaves_out_what_is_no_gradient():
    from tf_bdecay.training.step.noise_meter import squared_norm

    variables = [keras.Variable(np.ones(2), dtype=d) for d in ("float32", "float16", "float32")]
    variables[2].overwrite_with_gradient = True
    g = [tf.constant([3.0, 4.0]), tf.IndexedSlices(tf.constant([60000.0], "float16"), [1], [2])]
    found = squared_norm([*g, tf.constant([7.0, 7.0])], variables)
    assert float(found) == pytest.approx(25 + 60000.0**2, rel=1e-3)
    assert float(squared_norm([g[0], None, None], variables)) == pytest.approx(25)
