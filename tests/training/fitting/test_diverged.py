"""A run stops when its updates are skipped again and again."""

import math

import numpy as np
import pytest

from tests.training.small import digits, fit, trainer
from tf_bdecay.training.fitting.diverged import Diverged, StopDiverged


@pytest.mark.parametrize("limit, per_epoch", [(1, 4), (3, 4), (4, 4), (6, 4), (7, 4)])
@pytest.mark.quick_rows(3)
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
