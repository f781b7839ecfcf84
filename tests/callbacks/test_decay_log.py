"""DecayLog in stock `fit` writes, logs and prints what the optimizer decided."""

import contextlib
import csv
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import tf_bdecay
from tests.processes import running
from tf_bdecay.callbacks import DecayLog
from tf_bdecay.distribution import cluster
from tf_bdecay.errors import BadInput
from tf_bdecay.launching import processes

pytestmark = pytest.mark.any_backend
SCRIPT = pathlib.Path(__file__).with_name("decay_log_script.py")
BATCH, UPDATES = 8, 4  # of an epoch


class Decisions(keras.callbacks.Callback):
    """The decision of every update, read from the optimizer."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        self.found.append(self.model.optimizer.decision())


def compiled(steps_per_execution=1, **options):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, use_bias=False, name="first"),
            layers.BatchNormalization(name="norm", beta_initializer="ones"),
            layers.Dense(4, use_bias=False, name="second"),
            layers.LayerNormalization(name="last", beta_initializer="ones"),
        ]
    )
    options = {"gradient_norms": True, "compile_update": False, **options}
    optimizer = tf_bdecay.Lamb(0.05, **options)
    model.compile(optimizer, "mse", steps_per_execution=steps_per_execution)
    return model


def fit(model, callbacks, epochs=2, **options):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(BATCH * UPDATES, 6)), rng.normal(size=(BATCH * UPDATES, 4))
    options = {"verbose": 0, "shuffle": False, **options}
    return model.fit(x, y, batch_size=BATCH, epochs=epochs, callbacks=callbacks, **options)


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_every_second_update_is_written(tmp_path):
    model, each = compiled(), Decisions()
    fit(model, [each, DecayLog(tmp_path, every=2, show=False)])
    by_layer, by_variable = rows(tmp_path / "layers.csv"), rows(tmp_path / "variables.csv")
    assert [row["update"] for row in by_layer] == ["2", "2", "4", "4", "6", "6", "8", "8"]
    for row in by_layer:
        decision = each.found[int(row["update"]) - 1]
        i = decision.layers.index(row["layer"])
        assert float(row["r"]) == pytest.approx(decision.bias_ratio[i])
        assert int(row["decay_on"]) == decision.decay_on[i]
        beta = decision.labels.index(f"{row['layer']}/beta")
        assert float(row["C_beta"]) == pytest.approx(decision.sensitivity[beta])
    assert len(by_variable) == 4 * 6
    for row in by_variable:
        decision = each.found[int(row["update"]) - 1]
        i = decision.labels.index(row["variable"])
        assert float(row["gradient_norm"]) == pytest.approx(decision.gradient_norm[i])
        adapted = row["role"] == "kernel"
        assert row["trust_ratio"] == "" or adapted
        assert not adapted or float(row["trust_ratio"]) == pytest.approx(decision.trust_ratio[i])
    if keras.backend.backend() == "tensorflow":
        in_tensorboard(tmp_path, by_layer, by_variable)


def in_tensorboard(folder, by_layer, by_variable):
    """What the tables have, TensorBoard's own loader reads."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()

    def value(tag, update):
        event = next(event for event in read.Tensors(tag) if event.step == int(update))
        return pytest.approx(float(tf.make_ndarray(event.tensor_proto)))

    for row in by_layer:
        for name in ("r", "C_beta", "C_gamma", "decay_on"):
            assert float(row[name]) == value(f"{name}/{row['layer']}", row["update"])
    for row in by_variable:
        for name in ("trust_ratio", "gradient_norm"):
            if row[name]:
                assert float(row[name]) == value(f"{name}/{row['variable']}", row["update"])


def test_logs_and_the_line_of_an_epoch(tmp_path, capsys):
    model, each = compiled(), Decisions()
    history = fit(model, [each, DecayLog(tmp_path, by_layer=True)]).history
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for epoch in (0, 1):
        of_epoch = each.found[epoch * UPDATES : (epoch + 1) * UPDATES]
        last = of_epoch[-1]
        on = int(last.decay_on.sum())
        fraction = np.mean([d.decay_on for d in of_epoch])
        assert history["decay_on_layers"][epoch] == on
        assert history["decay_on_fraction"][epoch] == pytest.approx(fraction)
        assert history["skipped_updates"][epoch] == 0
        share = f"{100 * fraction:.0f} %"
        begin = f"Epoch {epoch + 1}: beta decay on in {on} of 2 layers ({share} over the epoch)"
        assert lines[epoch].startswith(begin)
        largest = last.layers[int(last.bias_ratio.argmax())]
        assert f"largest in {largest}" in lines[epoch]
        assert history[f"r/{largest}"][epoch] == pytest.approx(last.bias_ratio.max())
    written = {row["update"] for row in rows(tmp_path / "layers.csv")}
    assert written == {str(UPDATES), str(2 * UPDATES)}


def test_rows_have_the_optimizer_s_own_count_where_an_epoch_cuts_an_execution_short(tmp_path):
    model, log = compiled(steps_per_execution=3), DecayLog(tmp_path, show=False)
    fit(model, [log])
    fit(model, [log], epochs=1)
    updates = [int(row["update"]) for row in rows(tmp_path / "layers.csv")]
    assert sorted({*updates}) == [UPDATES, 2 * UPDATES, 3 * UPDATES]


@pytest.mark.slow
def test_a_second_fit_goes_on_with_the_count(tmp_path):
    """Rows are kept, and those that are trained again replaced."""
    model = compiled(weight_decay=tf_bdecay.decay.BetaDecay())
    fit(model, [DecayLog(tmp_path, show=False)], epochs=1)
    fit(model, [DecayLog(tmp_path, every=3, show=False)], epochs=1)
    updates = [int(row["update"]) for row in rows(tmp_path / "layers.csv")]
    assert sorted({*updates}) == [UPDATES, 6]
    assert all(row["decay_on"] == "1" for row in rows(tmp_path / "layers.csv"))


def test_another_optimizer_begins_a_new_run_and_keeps_the_tables_of_the_first(tmp_path):
    fit(compiled(), [DecayLog(tmp_path, show=False)], epochs=1)
    before = (tmp_path / "layers.csv").read_text()
    with pytest.warns(UserWarning, match="kept as layers-1.csv and variables-1.csv"):
        fit(compiled(), [DecayLog(tmp_path, show=False)], epochs=1)
    assert (tmp_path / "layers-1.csv").read_text() == before
    assert {row["update"] for row in rows(tmp_path / "layers.csv")} == {str(UPDATES)}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras on JAX refuses these")
@pytest.mark.parametrize("case", ["frozen", "reversed"])
def test_of_an_optimizer_that_was_built_with_other_variables(case):
    """Those of a layer frozen since, too, or in another order: by identity, never by position."""
    model = compiled()
    optimizer, variables = model.optimizer, model.trainable_variables
    if case == "frozen":
        optimizer.build(variables)
        model.get_layer("last").trainable = False
        model.compile(optimizer, "mse")
    else:
        optimizer.build(variables[::-1])
    logs = fit(model, [DecayLog(None, by_layer=True, show=False)], epochs=1).history
    paths = [v.path for v in optimizer.roles.keras_variables]
    c = dict(zip(paths, optimizer.decision().sensitivity, strict=True))
    for kind, leaf in {"FC(w)": "kernel", "gamma": "gamma", "beta": "beta"}.items():
        own = sum(value for path, value in c.items() if path.endswith(leaf))
        assert logs[f"C/{kind}"] == [pytest.approx(own)]
    assert {v.path for v in variables} == {*c}
    assert (case == "frozen") == (c[variables[-1].path] == 0)


def test_without_files_pairs_or_norms(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
    policy = tf_bdecay.decay.NoDecay()
    model.compile(tf_bdecay.SGD(0.1, weight_decay=policy, compile_update=False), "mse")
    history = fit(model, [DecayLog(None)], epochs=1).history
    assert capsys.readouterr().out == "Epoch 1: no layer has both a gamma and a beta\n"
    assert {*history} == {"loss", "skipped_updates"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_skipped_updates_are_told(capsys):
    model = compiled()
    x = np.ones((BATCH * 3, 6), "float32")
    x[0] = np.nan
    log = DecayLog(None)
    model.fit(x, np.ones((len(x), 4)), batch_size=BATCH, shuffle=False, verbose=0, callbacks=[log])
    assert capsys.readouterr().out.rstrip().endswith("; 1 update skipped")
    assert model.history.history["skipped_updates"] == [1]


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"every": 0}, "every"),
        ({"every": 1.5}, "every"),
        ({"by_layer": 1}, "by_layer"),
        ({"show": "no"}, "show"),
    ],
)
def test_arguments_out_of_range(arguments, says):
    with pytest.raises(BadInput, match=says):
        DecayLog(**arguments)


def test_what_cannot_be_logged_is_refused_before_training(tmp_path):
    model = compiled()
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="`log_dir` of DecayLog"):
        fit(model, [DecayLog(tmp_path / "file" / "inside")])
    model.compile("sgd", "mse")
    with pytest.raises(BadInput, match="Received: optimizer=SGD"):
        fit(model, [DecayLog(tmp_path)])


def test_a_table_of_somebody_else_stays_and_is_named(tmp_path):
    model = compiled()
    fit(model, [], epochs=1)
    (tmp_path / "layers.csv").write_text("a,b\n")
    with pytest.raises(BadInput, match="layers.csv is damaged .*, or name another log_dir of Dec"):
        fit(model, [DecayLog(tmp_path)])
    assert (tmp_path / "layers.csv").read_text() == "a,b\n"


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="workers are TensorFlow's")
def test_of_two_workers_the_first_writes_and_prints(tmp_path):
    addresses = processes.free_addresses(2)
    command = [sys.executable, str(SCRIPT), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
    with contextlib.ExitStack() as stack:
        workers = []
        for i in range(2):
            environment["TF_CONFIG"] = json.dumps(cluster.config(addresses, i))
            pipe = dict(env=environment, stdout=subprocess.PIPE, text=True)
            workers.append(stack.enter_context(running(command, **pipe)))
        said = [worker.communicate(timeout=300)[0].splitlines() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert said[0][-1] == said[1][-1]  # the logs
    assert [sum("beta decay on in" in line for line in lines) for lines in said] == [2, 0]
    written = [(row["update"], row["layer"]) for row in rows(tmp_path / "layers.csv")]
    assert {update for update, _ in written} == {"4", "8"}  # the last of each epoch
    assert len(set(written)) == len(written)
