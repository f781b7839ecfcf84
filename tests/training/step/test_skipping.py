"""A skipped update leaves everything as it was, whoever skips it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_bdecay
from tests.processes import ended
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.training.step.trainer import Trainer

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 32)


class Calls(keras.layers.Layer):
    """Counts its calls."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), dtype="int32", trainable=False, name="calls")

    def call(self, x):
        self.calls.assign(self.calls + 1)
        return x


def trainer(optimizer=None, **arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = GhostBatchNormalization(4, momentum=0.5)(keras.layers.Dense(6)(inputs))
    x = keras.layers.Dropout(0.2, seed=3)(Calls()(x))
    made = Trainer.of(keras.Model(inputs, keras.layers.Dense(3)(x)))
    made.compile(
        optimizer or tf_bdecay.Lamb(0.05, use_ema=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
        **arguments,
    )
    ours = not type(made.optimizer).__module__.startswith("keras")
    made.optimizer.build(made if ours else made.trainable_variables)
    return made


def spoilt(value):
    x = X[:16].copy()
    x[9, 0] = value
    return x


def values(made):
    """All that an update may change but the counts of what was skipped, and metrics."""
    inner = getattr(made.optimizer, "inner_optimizer", made.optimizer)
    counts = {id(inner.skipped_updates), id(inner.skipped_in_a_row)}
    variables = [*made.variables, *inner.variables]
    metrics = {id(v) for v in made.metrics_variables}
    others = {id(v) for v in getattr(made.optimizer, "_variables", [])} - {
        id(v) for v in inner.variables
    }
    kept = [v for v in variables if id(v) not in counts | metrics | others]
    return {f"{i} {v.path}": v.numpy() for i, v in enumerate(kept)}


def assert_nothing_moved(made, x):
    made.train_on_batch(X[:16], Y[:16])
    before = values(made)
    made.train_on_batch(x, Y[:16])
    after = values(made)
    assert any("moving_variance" in name for name in before)
    assert any("seed_generator_state" in name for name in before)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
    made.train_on_batch(X[16:], Y[16:])
    moved = values(made)
    for part in ("moving_mean", "seed_generator_state", "calls", "kernel"):
        names = [name for name in before if part in name]
        assert names and all((moved[name] != before[name]).any() for name in names)


@pytest.mark.parametrize("micro_batch_size", [None, 8])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.quick_rows(2)
def test_nothing_moves(value, micro_batch_size):
    made = trainer(micro_batch_size=micro_batch_size)
    assert_nothing_moved(made, spoilt(value))
    assert made.optimizer.totals()["skipped_updates"] == 1


@pytest.mark.parametrize("jit_compile", [True, False])
def test_nothing_moves_in_other_ways_to_run(jit_compile):
    made = trainer()
    made.jit_compile, made.run_eagerly = jit_compile, not jit_compile
    assert_nothing_moved(made, spoilt(np.nan))


@pytest.mark.parametrize("scaling", [tf_bdecay.LossScaleOptimizer, None, "keras"])
@pytest.mark.quick_rows(1)
def test_nothing_moves_within_loss_scaling(scaling):
    inner = tf_bdecay.SGD(0.05, use_ema=True)
    if scaling == "keras":
        scaling = keras.optimizers.LossScaleOptimizer
    made = trainer(scaling(inner) if scaling else inner, micro_batch_size=8)
    assert_nothing_moved(made, spoilt(np.nan))


def test_an_optimizer_that_does_not_skip_is_left_alone():
    made = trainer(tf_bdecay.Lamb(0.05, skip_nonfinite=False))
    made.train_on_batch(spoilt(np.nan), Y[:16])
    assert np.isnan(made.get_weights()[0]).any()
    calls = [v for v in made.non_trainable_variables if v.path.endswith("calls")]
    assert [int(v.numpy()) for v in calls] == [1]


def on_two_replicas():
    """The largest change of any copy of any variable by an update that one replica spoilt."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for micro_batch_size in (None, 4):
        with strategy.scope():
            made = trainer(micro_batch_size=micro_batch_size)

        def fit(x):
            data = tf.data.Dataset.from_tensor_slices((x, Y[:16]))
            made.fit(data.batch(16, drop_remainder=True), verbose=0)  # noqa: B023

        def copies():
            local = strategy.experimental_local_results
            return [c.numpy() for v in made.variables for c in local(v.value)]  # noqa: B023

        fit(X[:16])
        before = copies()
        fit(spoilt(np.nan))
        metrics = 2 * len(made.metrics_variables)
        pairs = zip(before[:-metrics], copies()[:-metrics], strict=True)
        print(made.optimizer.totals()["skipped_updates"], all((a == b).all() for a, b in pairs))


@pytest.mark.slow
def test_on_every_replica_where_one_has_seen_the_fault():
    """In a process of its own: the devices are made at its start."""
    program = "from tests.training.step.test_skipping import on_two_replicas; on_two_replicas()"
    done = ended(["-c", program])
    assert done.stdout.split() == ["1", "True"] * 2, done.stderr[-2000:]


def test_metrics_count_the_batch_as_in_keras():
    made = trainer()
    x = np.concatenate([X[:16], spoilt(np.nan)])
    history = made.fit(x, Y, batch_size=16, shuffle=False, verbose=0).history
    assert np.isnan(history["loss"][0])
    assert np.isfinite(made.evaluate(X, Y, verbose=0))
