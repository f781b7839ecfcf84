"""Rows by epoch, and the stop of a run that diverged."""

import math

import numpy as np
import pandas as pd
import pytest

import tf_bdecay
from tests.training.small import digits, trainer
from tf_bdecay.schedules import PolynomialWarmupDecay
from tf_bdecay.training.record import Diverged, EpochRows, StopDiverged
from tf_bdecay.training.workdir import Workdir


def fit(made, callbacks, epochs=3, x=None, **arguments):
    images, y = digits()
    images = images if x is None else x
    return made.fit(
        images, y, batch_size=64, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks,
        **arguments,
    )  # fmt: skip


def test_a_row_an_epoch_says_what_fit_says(tmp_path):
    schedule = PolynomialWarmupDecay(0.02, 12)
    policy = tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.02)
    made = trainer(tf_bdecay.Lamb(schedule, weight_decay=policy))
    workdir = Workdir(tmp_path, {})
    rows = EpochRows(workdir, schedule, "validation", 4, 64)
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
    whole = made.optimizer.totals()["decay_on_updates"].sum() / (2 * 12)
    assert frame["decay_on_fraction"].mean() == pytest.approx(whole)
    assert (frame["images_per_second"] > 0).all() and (frame["seconds"] > 0).all()


@pytest.mark.parametrize("limit, per_epoch", [(1, 4), (3, 4), (4, 4), (6, 4), (7, 4)])
def test_a_run_stops_with_the_number_of_the_update_that_was_one_too_many(limit, per_epoch):
    x, _ = digits()
    x = x.copy()
    x[64:] = math.nan  # the first update of each epoch is fine, the other three are not
    x[:64] = x[:64] if limit <= 3 else math.nan
    made = trainer()
    first = 2 if limit <= 3 else 1
    with pytest.raises(Diverged) as stop:
        fit(made, [StopDiverged(limit, per_epoch)], x=x)
    assert stop.value.update == first + limit - 1
    assert f"in {limit} updates in a row" in str(stop.value)


def test_skipped_updates_that_are_not_in_a_row_do_not_stop_it():
    x, _ = digits()
    x = x.copy()
    x[64:] = math.nan
    made = trainer()
    fit(made, [StopDiverged(4, 4)], x=x)
    assert made.optimizer.totals()["skipped_updates"] == 9


@pytest.mark.parametrize("after", [0, 8])
def test_executions_of_several_updates_are_looked_at_although_they_step_over_the_limit(after):
    x, _ = digits()
    made = trainer(steps_per_execution=2)
    made.optimizer.skipped_in_a_row.assign(2)  # a run that goes on counts on
    with pytest.raises(Diverged) as diverged:
        made.fit(
            np.full_like(x, math.nan), digits()[1], batch_size=64, epochs=9, verbose=0,
            initial_epoch=after // 4, callbacks=[StopDiverged(3, 4, after)],
        )  # fmt: skip
    assert diverged.value.update == after + 1
