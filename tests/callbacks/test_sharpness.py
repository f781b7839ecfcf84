"""SharpnessCallback beside the measures' own functions on the same weights, and runs without it."""

import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tf_bdecay
from tf_bdecay import sharpness
from tf_bdecay.callbacks import Resume, SharpnessCallback
from tf_bdecay.decay import AdaptiveBetaDecay
from tf_bdecay.distribution import sharding
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization

BATCH = 16


def examples(count=3 * BATCH, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 6)).astype("float32")
    return x, np.argmax(x[:, :3] + rng.normal(size=(count, 3)), -1)


def compiled(optimizer="adam", seed=1, run_eagerly=True):
    """A network with batch statistics and dropout: two things that measuring could disturb."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, use_bias=False, name="hidden"),
            GhostBatchNormalization(4, name="norm"),
            layers.Activation("tanh"),
            layers.Dropout(0.3),
            layers.Dense(3, name="head"),
        ],
        name="net",
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss=loss, run_eagerly=run_eagerly)  # tracing takes longer
    return model


def fit(model, *callbacks, epochs=2, **kwargs):
    history = model.fit(
        *examples(), batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks, **kwargs
    )
    return history.history


def ours():
    return tf_bdecay.Lamb(
        0.05, weight_decay=AdaptiveBetaDecay(threshold=0.05), compile_update=False
    )


@pytest.mark.parametrize(
    "optimizer, measures",
    [(lambda: "adam", ("C", "trace")), (ours, ("C_m", "fisher_rao"))],
    ids=["Adam", "Lamb"],
)
@pytest.mark.quick_rows(1)
def test_it_changes_nothing_in_training(optimizer, measures, tmp_path):
    watch = SharpnessCallback(examples(20, seed=7), measures, log_dir=tmp_path, before=True)
    trained = {}
    for name, callbacks in {"with": [watch], "without": []}.items():
        model = compiled(optimizer(), run_eagerly=False)
        history = fit(model, *callbacks)
        state = [v.numpy().tobytes() for v in (*model.variables, *model.optimizer.variables)]
        trained[name] = state, history["loss"]
    assert trained["with"] == trained["without"]


def test_logs_tables_and_tensorboard_have_what_the_functions_give(tmp_path):
    data = examples(20, seed=7)
    watch = SharpnessCallback(data, ("C", "trace"), every=2, log_dir=tmp_path, probes=4)
    model = compiled()
    history = fit(model, watch, epochs=4)
    expected = {
        "C": sharpness.connectivity(model, None, data),
        "trace": sharpness.hessian_trace(model, None, data, num_probes=4),
    }
    table = pd.read_csv(tmp_path / "sharpness.csv")
    costs = pd.read_csv(tmp_path / "sharpness_costs.csv")
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    assert costs["epoch"].tolist() == [2, 2, 4, 4] and (costs["seconds"] > 0).all()
    assert (costs["share_of_epoch"] > 0).all()
    for name, result in expected.items():
        assert len(history[f"sharpness/{name}"]) == 2
        assert history[f"sharpness/{name}"][-1] == pytest.approx(result.total, rel=1e-5)
        rows = table[(table["epoch"] == 4) & (table["asked"] == name)].drop(
            columns=["epoch", "asked"]
        )
        pd.testing.assert_frame_equal(
            rows.reset_index(drop=True), result.to_pandas(), rtol=1e-4, atol=1e-7
        )

        def scalar(tag, name=name):
            read = events.Scalars(f"sharpness/{name}/{tag}")
            assert [e.step for e in read] == [2, 4]
            return read[-1].value

        assert scalar("total") == pytest.approx(result.total, rel=1e-5)
        assert scalar("standard_error") == pytest.approx(result.standard_error, rel=1e-4)
        assert scalar("seconds") > 0 and scalar("share_of_epoch") > 0
        for layer, value in result.by_layer.items():
            assert scalar(f"layer/{layer}") == pytest.approx(value, rel=1e-4)
        for kind, value in result.by_kind.items():
            assert scalar(f"kind/{kind}") == pytest.approx(value, rel=1e-4)
    (layer,) = expected["C"].bias_ratio
    ratio = expected["C"].bias_ratio[layer]
    assert events.Scalars(f"r/{layer}")[-1].value == pytest.approx(ratio, rel=1e-4)
    pictures = events.Images("sharpness/layers")
    assert [p.step for p in pictures] == [2, 4]
    assert pictures[0].encoded_image_string[:4] == b"\x89PNG" and pictures[0].width > 300


def test_before_training_is_epoch_0(tmp_path):
    data = examples(20, seed=7)
    expected = sharpness.connectivity(compiled(), None, data, per_example=False).total
    fit(compiled(), SharpnessCallback(data, "C_m", log_dir=tmp_path, before=True), epochs=1)
    table = pd.read_csv(tmp_path / "sharpness.csv")
    totals = table[table["name"] == "Total"].set_index("epoch")["value"]
    assert totals.index.tolist() == [0, 1]
    assert totals[0] == pytest.approx(expected, rel=1e-5) != totals[1]


def test_a_run_that_goes_on_replaces_the_epochs_it_trains_again(tmp_path):
    data = examples(20, seed=7)
    fit(compiled(), SharpnessCallback(data, "C_m", log_dir=tmp_path), epochs=3)
    fit(compiled(), SharpnessCallback(data, "C_m", log_dir=tmp_path), epochs=4, initial_epoch=2)
    assert pd.read_csv(tmp_path / "sharpness_costs.csv")["epoch"].tolist() == [1, 2, 3, 4]


def test_a_second_fit_from_the_first_epoch_keeps_what_was_measured(tmp_path):
    callback = SharpnessCallback(examples(20, seed=7), "C_m", log_dir=tmp_path)
    model = compiled()
    fit(model, callback, epochs=1)
    before = (tmp_path / "sharpness.csv").read_text()
    with pytest.warns(UserWarning, match="kept as sharpness-1.csv and sharpness_costs-1.csv"):
        fit(model, callback, epochs=1)
    assert (tmp_path / "sharpness-1.csv").read_text() == before
    assert pd.read_csv(tmp_path / "sharpness_costs.csv")["epoch"].tolist() == [1]


def test_rows_that_were_removed_before_a_run_goes_on_are_told(tmp_path):
    table = tmp_path / "log" / "sharpness_costs.csv"

    def start(epochs):
        watch = SharpnessCallback(examples(20, seed=7), "C_m", log_dir=tmp_path / "log")
        resume = Resume(tmp_path / "run", callbacks=[watch], show=False)
        data = resume.data(*examples(), batch_size=BATCH)
        options = dict(verbose=0, shuffle=False)
        compiled().fit(data, epochs=epochs, callbacks=[watch, resume], **options)

    start(1)
    table.write_text(table.read_text().splitlines(keepends=True)[0])
    with pytest.warns(UserWarning, match="^SharpnessCallback: .*costs.csv lacks 1 of the 1 rows"):
        start(2)
    assert pd.read_csv(table)["epoch"].tolist() == [2]


def test_a_table_of_somebody_else_stays_and_is_named(tmp_path):
    (tmp_path / "sharpness.csv").write_text("a,b\n")
    watch = SharpnessCallback(examples(20, seed=7), "C_m", log_dir=tmp_path)
    with pytest.raises(BadInput, match="sharpness.csv is damaged .*, or name another log_dir of"):
        fit(compiled(), watch, initial_epoch=1)
    assert (tmp_path / "sharpness.csv").read_text() == "a,b\n"


def test_training_can_stop_by_it(tmp_path):
    watch = SharpnessCallback(examples(20, seed=7), "C_m", log_dir=tmp_path)
    stop = keras.callbacks.EarlyStopping("sharpness/C_m", mode="min", min_delta=1e9, patience=1)
    assert len(fit(compiled(), watch, stop, epochs=5)["loss"]) == 2


def test_a_data_set_of_batches_is_measured_too(tmp_path):
    import tensorflow as tf

    data = examples(20, seed=7)
    batches = tf.data.Dataset.from_tensor_slices(data).batch(6)
    model = compiled()
    history = fit(model, SharpnessCallback(batches, "C_m", log_dir=tmp_path), epochs=1)
    expected = sharpness.connectivity(model, None, data, per_example=False).total
    assert history["sharpness/C_m"] == [pytest.approx(expected, rel=1e-5)]


def test_a_run_that_diverges_is_told_and_trains_on(tmp_path):
    model = compiled(keras.optimizers.SGD(float("nan")))
    with pytest.warns(UserWarning, match="C was not measured .*: The variable .* NaN"):
        history = fit(model, SharpnessCallback(examples(20), log_dir=tmp_path))
    assert len(history["loss"]) == 2 and np.isnan(history["sharpness/C"]).all()


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (dict(measures=("C", "trase")), "measure of SharpnessCallback 'trase': did you mean 'tra"),
        (dict(measures=()), "at least one measure of SharpnessCallback"),
        (dict(every=0), "whole number of epochs >= 1. Received: every=0"),
        (dict(every=True), "whole number of epochs >= 1. Received: every=True"),
        (dict(log_dir=3), "`log_dir` of SharpnessCallback must be a path. Received: log_dir=3"),
        (dict(before=1), "`before` of SharpnessCallback must be True or False. Received: before=1"),
        (dict(measures="trace", prbes=3), "Unknown option 'prbes': did you mean 'probes'?"),
        (dict(probes=3), "probes is of trace, which the measures C leave out"),
        (dict(measures="all", rho=1.0), "measure them one at a time"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_made(arguments, sentence):
    with pytest.raises(BadInput) as error:
        SharpnessCallback(examples(), **arguments)
    assert sentence in str(error.value)


def test_data_that_cannot_be_used_are_refused_before_training(tmp_path):
    x, y = examples()
    model = compiled()
    before = model.get_weights()
    with pytest.raises(BadInput, match="as many examples"):
        fit(model, SharpnessCallback((x, y[1:]), log_dir=tmp_path))
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# What cannot be measured is said before the first update; what fails later does not end a training.


def plain(loss="mse", outputs=1):
    """Batch statistics, one output or several, and a regression."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    hidden = layers.BatchNormalization(name="norm")(layers.Dense(4)(inputs))
    heads = [layers.Dense(2)(hidden) for _ in range(outputs)]
    model = keras.Model(inputs, heads if outputs > 1 else heads[0])
    model.compile("sgd", loss)
    return model


X, Y = np.ones((32, 6), "float32"), np.ones((32, 2), "float32")


@pytest.mark.parametrize(
    "model, data, arguments, sentence",
    [
        ((["mse", "mse"], 2), (X, [Y, Y]), {}, "a loss for each of several outputs"),
        ((["mse", None], 2), (X, [Y, Y]), {}, "a loss for each of several outputs"),
        ((None,), (X, Y), {}, "compiled without a loss"),
        ((lambda y, z: keras.ops.mean(y - z),), (X, Y), {}, "a value for each example"),
        ((), (X, Y), dict(training=True), "C of single examples does not exist in training mode"),
        ((), (X[:, :3], Y), {}, "cannot take these examples"),
        ((), (X, np.ones((32, 5))), {}, "cannot take these examples"),
        ((), (X, Y), dict(loss="msee"), "Unknown loss 'msee': did you mean 'mse'"),
        ((), (X, Y), dict(measures="fisher_rao"), "pass from_logits=True or False"),
        ((), (X, Y), dict(measures="C_m", batch_size=64), "do not fill one mini-batch"),
        ((), (X, Y), dict(measures="trace", probes=1), "num_probes"),
        ((), (X, Y), dict(measures="eigenvalue", eigenvalues=10**6), "no more eigenvalues"),
        ((), (X, Y), dict(memory_gb=1e-9), "more than the memory budget"),
        ((), (np.full_like(X, np.nan), Y), dict(measures="trace"), "Example 0 of the data"),
        ((), (X, Y), dict(log_dir="file/below"), "`log_dir` of SharpnessCallback cannot be used"),
    ],
)
@pytest.mark.quick_rows(6)
def test_what_cannot_be_measured_is_said_before_the_first_update(
    tmp_path, monkeypatch, model, data, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    model = plain(*model)
    before = [v.numpy().tobytes() for v in model.variables]
    watch = SharpnessCallback(data, **{"log_dir": "logs", "every": 3, **arguments})
    with pytest.raises(BadInput, match=sentence):
        watch.set_model(model)
        watch.on_train_begin()
        watch.on_epoch_begin(0)
    assert [v.numpy().tobytes() for v in model.variables] == before


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("9 GB"),
        OSError(5, "Input/output error"),
        BadInput("Another data set."),
        KeyError,
    ],
    ids=lambda e: getattr(e, "__name__", type(e).__name__),
)
@pytest.mark.quick_rows(2)
def test_a_measurement_that_fails_later_is_recorded_and_training_goes_on(
    tmp_path, monkeypatch, error
):
    from tf_bdecay.sharpness import registry

    measure, calls = registry.Measure.run, []

    def run(self, model, loss, data, options, session=None):
        if session is None and not calls:  # the first that is no trial
            calls.append(self.name)
            raise error
        return measure(self, model, loss, data, options, session)

    monkeypatch.setattr(registry.Measure, "run", run)
    watch = SharpnessCallback(examples(20, seed=7), ("C_m", "fisher_rao"), log_dir=tmp_path)
    with pytest.warns(UserWarning, match="C_m was not measured after epoch 1"):
        history = fit(compiled(), watch)
    assert np.isnan(history["sharpness/C_m"][0]) and history["sharpness/C_m"][1] > 0
    assert np.isfinite(history["sharpness/fisher_rao"]).all()
    table = pd.read_csv(tmp_path / "sharpness.csv")
    (row,) = table[table["level"] == "failed"].to_dict("records")
    assert (row["epoch"], row["asked"]) == (1, "C_m") and np.isnan(row["value"])


def test_a_picture_that_cannot_be_drawn_does_not_end_the_training(tmp_path, monkeypatch):
    from tf_bdecay.sharpness.results import pictures

    monkeypatch.setattr(pictures, "png", lambda figure: 1 / 0)
    with pytest.warns(UserWarning, match="could not write after epoch .: ZeroDivisionError"):
        history = fit(compiled(), SharpnessCallback(examples(20), "C_m", log_dir=tmp_path))
    assert len(history["sharpness/C_m"]) == 2
    assert pd.read_csv(tmp_path / "sharpness_costs.csv")["epoch"].tolist() == [1, 2]


@pytest.mark.slow
def test_a_worker_that_does_not_lead_measures_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sharding, "is_leader", lambda strategy: False)
    watch = SharpnessCallback(examples(20), log_dir=tmp_path / "log", before=True)
    assert len(fit(compiled(), watch)["sharpness/C"]) == 2
    assert watch.get_state() == {} and not (tmp_path / "log").exists()


def test_the_trial_is_the_measurements_own_tracing(tmp_path):
    """No function is traced twice: the first measurement finds what the trial has made."""
    from tf_bdecay.sharpness.over_examples.network import Network

    model, data, traced = compiled(), examples(20, seed=7), []
    traces = Network.traced
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Network, "traced", lambda s, k: traced.append(k) or traces(s, k))
        fit(model, SharpnessCallback(data, ("C", "C_m", "trace"), log_dir=tmp_path, probes=4))
    assert len(traced) == len(set(traced)) == 3


MIRRORED = """
import keras, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from tests.callbacks.test_sharpness import SharpnessCallback, compiled, examples, fit
from tf_bdecay import sharpness

weights, data = [], examples(20, seed=7)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for watched in (True, False):
    with strategy.scope():
        model = compiled(run_eagerly=False)
    history = fit(model, *[SharpnessCallback(data, ("C", "C_m"), log_dir=sys.argv[1])] * watched)
    weights.append([v.numpy().tobytes() for v in model.variables])
    if watched:
        plain = compiled()
        plain.set_weights(model.get_weights())
        expected = sharpness.connectivity(plain, None, data).total
        assert abs(history["sharpness/C"][-1] / expected - 1) < 1e-5
assert weights[0] == weights[1]
"""


@pytest.mark.slow
def test_under_a_strategy(tmp_path):
    subprocess.run([sys.executable, "-c", MIRRORED, str(tmp_path)], check=True, timeout=600)
