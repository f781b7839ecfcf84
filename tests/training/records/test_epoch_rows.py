"""The row of each epoch agrees with what `fit` reports."""

import math

import numpy as np
import pandas as pd
import pytest

import tf_bdecay
from tests.training.small import digits, fit, trainer
from tf_bdecay.errors import BadInput
from tf_bdecay.schedules import PolynomialWarmupDecay
from tf_bdecay.training.records import report
from tf_bdecay.training.records.epoch_rows import EpochRows
from tf_bdecay.training.records.names import shown_names
from tf_bdecay.training.run_folder.workdir import Workdir


def test_a_row_an_epoch_says_what_fit_says(tmp_path):
    schedule = PolynomialWarmupDecay(0.02, 12)
    policy = tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.02)
    made = trainer(tf_bdecay.Lamb(schedule, weight_decay=policy))
    workdir = Workdir(tmp_path, {})
    rows = EpochRows(workdir, schedule, shown_names("validation"), 4, 64)
    x, y = digits()
    history = fit(made, [rows], validation_data=(x, y), validation_freq=[1, 3]).history
    rows.flush()
    frame = pd.read_csv(tmp_path / "metrics.csv")
    assert frame["epoch"].tolist() == [1, 2, 3]
    assert frame["update"].tolist() == [4, 8, 12]
    np.testing.assert_allclose(frame["loss"], history["loss"], rtol=1e-9)
    evaluated = frame["validation_accuracy"].dropna()
    np.testing.assert_allclose(evaluated, history["val_accuracy"], rtol=1e-9)
    assert evaluated.index.tolist() == [0, 2]
    rates = [float(schedule(t)) for t in (3, 7, 11)]
    np.testing.assert_allclose(frame["learning_rate"], rates, rtol=1e-6)
    expected = made.optimizer.totals()["decay_on_updates"].sum() / (2 * 12)
    assert frame["decay_on_fraction"].mean() == pytest.approx(expected)
    assert (frame["images_per_second"] > 0).all() and (frame["seconds"] > 0).all()


def test_the_share_of_decay_is_one_number_wherever_it_is_said(tmp_path):
    """In the row, in DecayLog and in the result: an update that is skipped is in none of them."""
    policy = tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.02)
    made = trainer(tf_bdecay.Lamb(0.02, weight_decay=policy))
    x, _ = digits()
    x[70] = np.nan  # in the second batch of four
    rows = EpochRows(Workdir(tmp_path, {}), lambda t: 0.02, shown_names("test"), 4, 64)
    log = tf_bdecay.callbacks.DecayLog(None, show=False)  # last: it adds to the logs
    history = fit(made, [rows, log], x=x, validation_data=digits()).history
    rows.flush()
    frame = pd.read_csv(tmp_path / "metrics.csv")
    totals = made.optimizer.totals()
    assert (totals["updates"], totals["skipped_updates"]) == (9, 3)
    np.testing.assert_allclose(frame["decay_on_fraction"], history["decay_on_fraction"])
    expected = totals["decay_on_updates"].sum() / (2 * 9)
    assert 0 < expected < 1
    assert frame["decay_on_fraction"].mean() == pytest.approx(expected)
    assert report.mechanism(made.optimizer)["decay_on_fraction"] == pytest.approx(expected)

    rows.on_epoch_begin(3)
    state = rows.get_state()
    assert (state["updates"], state["decay_on_updates"]) == (9, totals["decay_on_updates"].sum())
    rows.set_state({"updates": 7, "decay_on_updates": 5, "seconds": 1.0})
    assert rows.get_state()["updates"] == 7


def at(path):
    path.mkdir()
    return Workdir(path, {})


def test_the_top5_accuracy_has_columns_of_training_and_evaluation(tmp_path):
    shown = shown_names("test", True, metrics=("accuracy", "top5_accuracy"))
    rows = EpochRows(at(tmp_path / "with"), None, shown, 4, 64)
    assert set(rows.table.columns) > {"top5_accuracy", "test_top5_accuracy_precise", "accuracy"}
    shown = shown_names("test", precise=True)
    without = EpochRows(at(tmp_path / "without"), None, shown, 4, 64)
    assert set(rows.table.columns) - set(without.table.columns) == {
        "top5_accuracy", "test_top5_accuracy_precise",
    }  # fmt: skip


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"updates": 9, "seconds": 1.0},
        {"updates": 9, "decay_on_updates": 3},
        {"decay_on_updates": 3, "seconds": 1.0},
        {"updates": 9, "decay_on_updates": -1, "seconds": 1.0},
        {"updates": 9, "decay_on_updates": 2.5, "seconds": 1.0},
        {"updates": 9, "decay_on_updates": 3, "seconds": -1.0},
        {"updates": 9, "decay_on_updates": 3, "seconds": math.nan},
        {"updates": 9, "decay_on_updates": 3, "seconds": math.inf},
        {"updates": 9, "decay_on_updates": 3, "seconds": True},
        {"decay_on_updates": 3, "seconds": 1.0, "updates": -1},
        {"updates": 9, "decay_on_updates": 3, "seconds": 1.0, "images": 4},
    ],
)
def test_a_state_of_the_rows_that_is_not_their_own_is_one_sentence(tmp_path, state):
    rows = EpochRows(Workdir(tmp_path, {}), None, shown_names("test"), 4, 64)
    with pytest.raises(BadInput, match="^The checkpoint is damaged .* Received: {") as error:
        rows.set_state(state)
    assert "\n" not in str(error.value)
    rows.set_state({"updates": 9, "decay_on_updates": 3, "seconds": 1})


def test_precise_columns_are_named(tmp_path):
    shown = shown_names("test", precise=True)
    rows = EpochRows(Workdir(tmp_path, {}), PolynomialWarmupDecay(0.02, 12), shown, 4, 64)
    rows.table.add(epoch=1, update=4)
    rows.flush()
    columns = pd.read_csv(tmp_path / "metrics.csv").columns
    assert {"loss", "accuracy", "test_loss_precise", "test_accuracy_precise"} <= {*columns}
    assert "test_accuracy" not in columns


def test_columns_of_the_average_follow_those_of_the_weights(tmp_path):
    shown = shown_names("validation", precise=True, average=True)
    rows = EpochRows(Workdir(tmp_path, {}), PolynomialWarmupDecay(0.02, 12), shown, 4, 64)
    rows.table.add(epoch=1, update=4)
    rows.flush()
    columns = [*pd.read_csv(tmp_path / "metrics.csv").columns]
    first = columns.index("validation_accuracy_precise")
    averages = ["validation_loss_average", "validation_accuracy_average", "learning_rate"]
    assert columns[first + 1 : first + 4] == averages
