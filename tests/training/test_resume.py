"""When a checkpoint is due, and what it says of the run."""

import numpy as np
import pytest

from tests.training.small import digits, trainer
from tf_bdecay.storage import checkpoints
from tf_bdecay.training import resume


class Folder(checkpoints.Saver):
    """A saver that waits for each checkpoint and lists them."""

    def __init__(self, folder):
        super().__init__(folder, keep=99)
        self.metas = []

    def save(self, arrays, meta, best=False, flush=()):
        super().save(arrays, meta, best, flush)
        self.wait()
        self.metas.append(meta)


@pytest.fixture(scope="module")
def made():
    return trainer(steps_per_execution=2)


def fit(made, folder, epochs=5, **arguments):
    saver = Folder(folder)
    x, y = digits()
    made.fit(
        x, y, batch_size=64, epochs=epochs, shuffle=False, verbose=0, validation_data=(x, y),
        callbacks=[resume.Checkpoints(saver, 4, epochs, **arguments)],
    )  # fmt: skip
    return saver.metas


def points(metas):
    return [(meta["update"], meta["epoch"]) for meta in metas]


def test_every_k_epochs_and_at_the_end(made, tmp_path):
    assert points(fit(made, tmp_path, every_epochs=2)) == [(8, 2), (16, 4), (20, 5)]


def test_every_k_updates_although_executions_step_over_multiples(made, tmp_path):
    metas = fit(made, tmp_path, epochs=2, every_epochs=9, every_updates=3)
    # The last updates of an epoch are saved before its evaluation, and the run's end after it.
    assert points(metas) == [(4, 0), (6, 1), (8, 2)]


def test_every_few_minutes(made, tmp_path):
    metas = fit(made, tmp_path, epochs=1, every_epochs=9, every_minutes=1e-9)
    assert points(metas) == [(2, 0), (4, 0), (4, 1)]


def test_the_best_is_that_of_the_evaluated_accuracy(made, tmp_path):
    metas = fit(made, tmp_path, epochs=4)
    assert [meta["best"] for meta in metas] == sorted(meta["best"] for meta in metas)
    _, best = checkpoints.read(tmp_path / checkpoints.BEST)
    first = next(meta for meta in metas if meta["best"] == metas[-1]["best"])
    assert best["update"] == first["update"]


def test_metrics_of_an_epoch_that_has_not_ended_are_in_it_and_of_no_other(made, tmp_path):
    fit(made, tmp_path, epochs=2, every_updates=2)
    held = {
        meta["update"]: [label for label in arrays if label.startswith("metric/")]
        for arrays, meta in map(checkpoints.read, tmp_path.glob("update_*"))
    }
    assert {update: bool(labels) for update, labels in held.items()} == {
        2: True, 4: False, 6: True, 8: False,
    }  # fmt: skip


def test_metrics_are_put_back_also_on_fewer_replicas(made):
    x, y = digits()
    made.evaluate(x, y, verbose=0)
    arrays, before = resume.snapshot(made), made.get_metrics_result()
    made.reset_metrics()
    resume.assign(made, arrays)
    assert made.get_metrics_result() == before
    halves = {label: np.concatenate([a / 2, a / 2]) for label, a in arrays.items()}
    resume.assign(made, halves)
    assert made.get_metrics_result() == before
