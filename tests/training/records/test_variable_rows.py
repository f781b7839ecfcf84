"""variables.csv has norms at an epoch's end and C_m over the epoch, also after an interruption."""

import keras
import numpy as np
import pandas as pd
import pytest

from tests.training.small import digits, trainer
from tf_bdecay.training.fitting.counts_updates import Position
from tf_bdecay.training.records.variable_rows import COLUMNS, VariableRows
from tf_bdecay.training.run_folder.workdir import Workdir


class Sees(keras.callbacks.Callback):
    """Keeps C_m of every update and the weights of every epoch's end."""

    def __init__(self):
        super().__init__()
        self.sensitivities, self.weights, self.states = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.sensitivities.append(self.model.optimizer.decision().sensitivity)

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append([v.numpy() for v in self.model.trainable_variables])


def test_norms_are_of_the_epochs_end_and_c_is_the_mean_over_its_updates(tmp_path):
    made, sees = trainer(), Sees()
    rows = VariableRows(Workdir(tmp_path, {}), 4)
    made.fit(*digits(), batch_size=64, epochs=2, shuffle=False, verbose=0, callbacks=[sees, rows])
    rows.flush()
    frame = pd.read_csv(tmp_path / "variables.csv")
    assert tuple(frame.columns) == COLUMNS
    count = len(made.trainable_variables)
    assert frame["variable"].tolist() == [v.label for v in made.optimizer.roles.variables] * 2
    assert frame["update"].tolist() == [4] * count + [8] * count
    assert set(frame["kind"]) == {"Conv", "gamma", "beta", "FC(w)", "FC(b)"}
    for epoch in (0, 1):
        own = frame[frame["epoch"] == epoch + 1]
        norms = [np.linalg.norm(w.astype(float)) for w in sees.weights[epoch]]
        np.testing.assert_allclose(own["norm"], norms, rtol=1e-5)
        mean = np.mean(sees.sensitivities[4 * epoch : 4 * epoch + 4], axis=0)
        np.testing.assert_allclose(own["C_m"], mean, rtol=1e-5)


@pytest.mark.slow
def test_an_epoch_that_is_cut_off_goes_on_where_it_was(tmp_path):
    x, y = digits()
    images = {"batch_size": 64, "shuffle": False, "verbose": 0}

    def csv(folder, cut):
        folder.mkdir()
        made, workdir = trainer(), Workdir(folder, {})
        if cut:
            first = VariableRows(workdir, 4)
            made.fit(x[:128], y[:128], callbacks=[first], **images)  # its last two are yet to come
            rows = VariableRows(workdir, 4, Position(2, 0))
            gives = keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda *_: rows.set_state(first.get_state())
            )
            made.fit(x[128:], y[128:], callbacks=[rows, gives], **images)
        else:
            rows = VariableRows(workdir, 4)
            made.fit(x, y, callbacks=[rows], **images)
        rows.flush()
        return pd.read_csv(folder / "variables.csv")

    pd.testing.assert_frame_equal(csv(tmp_path / "a", False), csv(tmp_path / "b", True))


def test_of_a_layer_that_was_frozen_after_the_optimizer_was_built(tmp_path):
    made = trainer()
    first = made.trainable_variables[0]
    made.optimizer.build(made.trainable_variables)
    next(layer for layer in made.layers if layer.trainable_variables).trainable = False
    rows = VariableRows(Workdir(tmp_path, {}), 1)
    made.fit(*(part[:64] for part in digits()), batch_size=64, verbose=0, callbacks=[rows])
    rows.flush()
    frame = pd.read_csv(tmp_path / "variables.csv")
    assert frame["variable"].tolist() == [v.label for v in made.optimizer.roles.variables]
    assert frame["norm"][0] == pytest.approx(np.linalg.norm(first.numpy()), rel=1e-5)
    assert frame["C_m"][0] == 0
