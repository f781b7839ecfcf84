"""Decisions from a probe batch, beside `connectivity` measured on the same weights and batch.

Elsewhere beside runs that decide by the update, and beside the decisions of an unbroken run.
"""

import json
import pathlib

import keras
import numpy as np
import pytest
from keras import layers

import tf_bdecay
from tests.processes import ended
from tf_bdecay.callbacks import ProbeDecision
from tf_bdecay.decay import AdaptiveBetaDecay, BetaDecay
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization

THRESHOLD, BATCH = 0.05, 16


def network(seed=1):
    """Its betas begin at 0.05, as at 0 every r would be 0."""
    keras.utils.set_random_seed(seed)
    hidden = []
    for width in (12, 10):
        hidden += [
            layers.Dense(width, use_bias=False),
            GhostBatchNormalization(4, beta_initializer=keras.initializers.Constant(0.05)),
            layers.Activation("tanh"),
        ]
    return keras.Sequential([keras.Input((6,)), *hidden, layers.Dense(3)])


def images(batches=1, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batches * BATCH, 6)).astype("float32")
    return x, np.argmax(x[:, :3] + rng.normal(size=(len(x), 3)), -1)


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(source="probe", kind=tf_bdecay.Lamb, seed=1, rate=0.05, **kwargs):
    model = network(seed)
    policy = AdaptiveBetaDecay(threshold=THRESHOLD, source=source)
    optimizer = kind(rate, weight_decay=policy, compile_update=False)
    kwargs.setdefault("run_eagerly", "steps_per_execution" not in kwargs)  # tracing takes longer
    model.compile(optimizer, loss=loss(), **kwargs)
    return model


def fit(model, data, epochs=1, callbacks=(), **kwargs):
    model.fit(
        *data,
        batch_size=BATCH,
        epochs=epochs,
        shuffle=False,
        callbacks=list(callbacks),
        verbose=0,
        **kwargs,
    )
    return model


class Decisions(keras.callbacks.Callback):
    """Copies the decision after every update."""

    def __init__(self):
        super().__init__()
        self.on, self.ratio = [], []

    def on_train_batch_end(self, batch, logs=None):
        decision = self.model.optimizer.decision()
        self.on.append(tuple(decision.decay_on))
        self.ratio.append(decision.bias_ratio)


@pytest.mark.parametrize("kind", [tf_bdecay.Lamb, tf_bdecay.SGD])
@pytest.mark.quick_rows(1)
def test_probing_every_update_on_the_training_batch_is_deciding_by_the_update(kind):
    """In double precision: 25 updates make a difference of decisions out of float32's rounding."""
    keras.config.set_dtype_policy("float64")
    data, seen = images(), {}
    models = {}
    for source in ("update", "probe"):
        seen[source] = Decisions()
        callbacks = [seen[source]] + [ProbeDecision(data, every=1)] * (source == "probe")
        models[source] = fit(compiled(source, kind, run_eagerly=False), data, 25, callbacks)
    assert seen["probe"].on == seen["update"].on
    assert len(set(seen["update"].on)) > 1  # decay does switch
    np.testing.assert_allclose(seen["probe"].ratio, seen["update"].ratio, rtol=1e-3, atol=1e-6)
    for a, b in zip(*(models[s].get_weights() for s in ("update", "probe")), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_reloaded_model_applies_the_decision_that_was_saved(tmp_path):
    model, data = compiled(), images()
    fit(model, data, callbacks=[ProbeDecision(data, every=1)])
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    decided = reloaded.optimizer.decision().decay_on
    for one in (model, reloaded):
        one.train_on_batch(*data)
    np.testing.assert_array_equal(reloaded.optimizer.decision().decay_on, decided)
    for a, b in zip(model.get_weights(), reloaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class CountsProbes(ProbeDecision):
    """Notes before which update it measured."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.at = []

    def _decide(self):
        self.at.append(self.model.optimizer.totals()["updates"] + 1)
        super()._decide()


def test_measures_before_the_first_update_and_then_every_k():
    """Three in one run: each counts for itself."""
    probes = [CountsProbes(images(seed=5), every) for every in (1, 3, 100)]
    fit(compiled(), images(batches=4), epochs=2, callbacks=probes)
    assert [probe.at for probe in probes] == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 4, 7], [1]]


def test_steps_per_execution_delay_a_measurement_to_the_next_execution():
    probe = CountsProbes(images(seed=5), every=3)
    fit(compiled(steps_per_execution=2), images(batches=8), callbacks=[probe])
    assert probe.at == [1, 5, 7]


def test_an_execution_that_an_epoch_cuts_short_counts_the_updates_that_it_had():
    """In epochs of 3 updates, of which executions do 2 and 1."""
    probe = CountsProbes(images(seed=5), every=4)
    fit(compiled(steps_per_execution=2), images(batches=3), epochs=3, callbacks=[probe])
    assert probe.at == [1, 6, 9]


def test_decision_is_of_the_probe_batch_and_lasts():
    probe, decisions = images(seed=9), Decisions()
    model = compiled()
    expected = tf_bdecay.sharpness.connectivity(
        model, loss(), probe, per_example=False, training=True
    )
    fit(model, images(batches=3), callbacks=[ProbeDecision(probe, every=3), decisions])
    for ratio in decisions.ratio:
        np.testing.assert_allclose(ratio, list(expected.bias_ratio.values()), rtol=1e-5)


@pytest.mark.parametrize("case", ["frozen", "reversed"])
def test_of_an_optimizer_that_was_built_with_other_variables(case):
    """Those of a layer frozen since have no r; in another order every layer has its own."""
    model, probe = compiled(), images(seed=9)
    optimizer, variables = model.optimizer, model.trainable_variables
    optimizer.build(variables if case == "frozen" else variables[::-1])
    if case == "frozen":
        model.layers[1].trainable = False
        model.compile(optimizer, loss())
    expected = tf_bdecay.sharpness.connectivity(
        model, loss(), probe, per_example=False, training=True
    ).bias_ratio
    fit(model, images(), callbacks=[ProbeDecision(probe, every=3)])
    decision = optimizer.decision()
    found = dict(zip(decision.layers, decision.bias_ratio, strict=True))
    assert len(found) == 2 and len(expected) == (1 if case == "frozen" else 2)
    for layer, ratio in found.items():
        assert ratio == pytest.approx(expected.get(layer, 0.0), rel=1e-5)
    np.testing.assert_array_equal(decision.decay_on, decision.bias_ratio >= THRESHOLD)


def test_probing_changes_nothing_but_the_decision():
    """With R = inf no decision matters, so that the run equals one of fixed decay without it."""
    weights = []
    for policy in (AdaptiveBetaDecay(threshold=np.inf, source="probe"), BetaDecay(beta=0.0)):
        model = network()
        lamb = tf_bdecay.Lamb(0.05, weight_decay=policy, compile_update=False)
        model.compile(lamb, loss=loss())
        probed = isinstance(policy, AdaptiveBetaDecay)
        callbacks = [ProbeDecision(images(seed=7), every=2)] if probed else []
        fit(model, images(batches=4), callbacks=callbacks)
        weights.append([w.tobytes() for w in model.get_weights()])
    assert weights[0] == weights[1]


def test_resuming_between_measurements_equals_not_stopping(tmp_path):
    probe, data = images(seed=9), images(batches=4)
    straight = fit(compiled(), data, epochs=3, callbacks=[ProbeDecision(probe, every=5)])
    stopped = fit(compiled(), data, epochs=1, callbacks=[ProbeDecision(probe, every=5)])
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    counts = CountsProbes(probe, every=5)
    fit(resumed, data, epochs=2, callbacks=[counts])
    assert counts.at == [6, 11]  # not before update 5, whose decision is in the file
    for a, b in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("every, at", [(3, [1, 5, 7, 11, 13, 17, 19]), (4, [1, 5, 9, 13, 17])])
@pytest.mark.quick_rows(1)
@pytest.mark.slow
def test_resuming_between_executions_measures_where_not_stopping_does(tmp_path, every, at):
    """After update 10 one of every 3 is due (9 is inside an execution), one of every 4 is not."""
    probe, data, steps = images(seed=9), images(batches=10), {"steps_per_execution": 2}
    counts = [CountsProbes(probe, every) for _ in range(3)]
    straight = fit(compiled(**steps), data, 2, [counts[0]])
    fit(compiled(**steps), data, 1, [counts[1]]).save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    assert resumed.steps_per_execution == 2
    fit(resumed, data, 1, [counts[2]])
    assert counts[0].at == at
    assert counts[1].at + counts[2].at == at
    for a, b in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_sees_through_loss_scaling():
    """r has no scale, so the C_m of the update, whose batch is the probe, is compared, too."""
    policy = AdaptiveBetaDecay(source="probe")
    inner = tf_bdecay.Lamb(0.01, weight_decay=policy, compile_update=False)
    model, data = network(), images()
    measured = tf_bdecay.sharpness.connectivity(
        model, loss(), data, per_example=False, training=True
    )
    model.compile(keras.optimizers.LossScaleOptimizer(inner), loss=loss())
    fit(model, data, callbacks=[ProbeDecision(data, every=1)])
    assert inner.totals()["updates"] == 1
    decision = inner.decision()
    ratio = [measured.shares[p.beta] / measured.shares[p.gamma] for p in inner.roles.pairs]
    np.testing.assert_allclose(decision.bias_ratio, ratio, rtol=1e-3)
    assert min(ratio) > 0
    np.testing.assert_allclose(decision.sensitivity, measured.shares, rtol=1e-3)


def test_a_probe_that_is_not_finite_keeps_the_last_decision():
    x, y = images(seed=9)
    probe, decisions = ProbeDecision((x, y), every=1), Decisions()

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            probe.data = (np.full_like(x, np.nan), y)

    model = compiled()
    with pytest.warns(UserWarning, match="not finite before update 2: .*keeps its last decision"):
        fit(model, images(batches=2), callbacks=[probe, Spoil(), decisions])
    assert len(set(decisions.on)) == 1
    assert np.isfinite(decisions.ratio).all()


def test_a_first_probe_that_is_not_finite_is_an_error():
    x, y = images()
    with pytest.raises(BadInput, match="no first decision"):
        fit(compiled(), (x, y), callbacks=[ProbeDecision((np.full_like(x, np.nan), y), every=1)])


def test_other_optimizers_are_refused():
    model = network()
    model.compile("adam", loss=loss())
    with pytest.raises(BadInput, match="optimizer of tf_bdecay.*Received: optimizer=Adam"):
        fit(model, images(), callbacks=[ProbeDecision(images(), every=1)])


@pytest.mark.parametrize("policy", [AdaptiveBetaDecay(), BetaDecay()])
def test_policies_that_decide_otherwise_are_refused(policy):
    model = network()
    model.compile(tf_bdecay.Lamb(0.01, weight_decay=policy), loss=loss())
    before = model.get_weights()
    with pytest.raises(BadInput, match="AdaptiveBetaDecay.source='probe'.. Received: weight_decay"):
        fit(model, images(), callbacks=[ProbeDecision(images(), every=1)])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "data, sentence",
    [
        (images()[0], "must be examples with targets.*Received: ndarray"),
        ((images()[0], None), "Received: ndarray and NoneType"),
        ((images()[0], images()[1][:-1]), "as many .*Received: 16 and 15"),
    ],
)
def test_probe_data_are_checked_when_fit_begins(data, sentence):
    model = compiled()
    with pytest.raises(BadInput, match=sentence):
        fit(model, images(), callbacks=[ProbeDecision(data, every=1)])
    assert not model.optimizer.built  # nothing was made ready for training yet


@pytest.mark.parametrize("every", [0, -3, 1.5, True, "epoch"])
def test_every_must_be_a_number_of_updates(every):
    with pytest.raises(BadInput, match="`every` of ProbeDecision must be a whole number"):
        ProbeDecision(images(), every)


def test_without_the_callback_the_first_update_is_an_error():
    with pytest.raises(BadInput, match="give `fit` the callback"):
        fit(compiled(), images())


@pytest.mark.parametrize("error", [MemoryError("9 GB"), OSError(5, "broken"), BadInput("Others.")])
@pytest.mark.quick_rows(1)
def test_a_measurement_that_fails_later_keeps_the_decision_and_training_goes_on(error):
    class Fails(ProbeDecision):
        def _measure(self, **session):
            if self._next == 1:
                raise error
            return super()._measure(**session)

    probe, decisions = Fails(images(seed=9), every=1), Decisions()
    with pytest.warns(UserWarning, match="not measured before update 2: .*keeps its last decision"):
        fit(compiled(), images(batches=3), callbacks=[probe, decisions])
    assert len(decisions.on) == 3 and decisions.on[0] == decisions.on[1]
    ((update, why),) = probe.failures
    assert update == 2 and str(error).split(".")[0] in why


@pytest.mark.parametrize(
    "data, given, sentence",
    [
        ((np.ones((8, 3)), np.zeros(8, int)), None, "cannot take these examples"),
        ((images()[0], images()[1] + 9), None, "label value of"),
        (images(), lambda y, outputs: keras.ops.mean(outputs), "a value for each example"),
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.quick_rows(2)
def test_what_cannot_be_measured_is_said_before_the_first_update(data, given, sentence, resumed):
    model = compiled()
    if resumed:
        fit(model, images(batches=3), callbacks=[ProbeDecision(images(), every=100)])
    before = model.get_weights()
    with pytest.raises(BadInput, match=sentence):
        fit(model, images(), callbacks=[ProbeDecision(data, every=100, loss=given)])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# Two replicas, in a process of their own.

SCRIPT = pathlib.Path(__file__).with_name("mirrored_script.py")


@pytest.mark.quick_rows(1)
@pytest.mark.slow
def test_two_replicas_decide_and_measure_as_one_device():
    done = ended([str(SCRIPT)])
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["decisions equal"] and report["copies equal"]
    assert report["weights"] < 1e-10
    assert report["ratio"] < 1e-5  # of float32
    assert report["sharpness"] < 1e-10
