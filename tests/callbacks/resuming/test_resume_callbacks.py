"""Callbacks go on with their state in a `fit` that `Resume` resumes."""

import warnings

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.callbacks.resuming.resumed import (
    BATCH,
    BATCHES,
    EVERY,
    Program,
    arrays,
    assert_same,
    compiled,
    network,
)
from tf_bdecay.callbacks import DecayLog, Resume
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's"
)


class Remembers(keras.callbacks.Callback):
    """A callback with a state of its own, which it hands out."""

    def on_train_begin(self, logs=None):
        self.updates = 0

    def on_train_batch_end(self, batch, logs=None):
        self.updates += 1

    def get_state(self):
        return {"updates": self.updates}

    def set_state(self, state):
        self.updates = state["updates"]


def monitors():
    """Callbacks that stop, and change the rate."""
    early = keras.callbacks.EarlyStopping("loss", min_delta=0.2, patience=2)
    early.restore_best_weights = True
    reduces = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=0.1, cooldown=1)
    return [early, reduces, Remembers()]


def plain(callback):
    names = ("best", "best_epoch", "wait", "stopped_epoch", "cooldown_counter", "updates")
    return {name: getattr(callback, name, None) for name in names}


def test_callbacks_go_on_with_their_state(tmp_path):
    program = Program(compiled(keras.optimizers.Adam(0.01)), epochs=9)
    whole, cut = monitors(), monitors()
    expected = program(tmp_path / "whole", callbacks=whole)
    assert whole[0].stopped_epoch < 8 and whole[1].best < 9  # they did something
    for update in (BATCHES + 3, BATCHES + 2, 3):
        assert program(tmp_path / "cut", update, callbacks=monitors()) is None
    assert_same(expected, program(tmp_path / "cut", callbacks=cut))
    assert [plain(c) for c in cut] == [plain(c) for c in whole]
    for a, b in zip(cut[0].best_weights, whole[0].best_weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert_same(expected, program(tmp_path / "cut", callbacks=monitors()))  # it had stopped
    with pytest.raises(BadInput, match="has the state of other callbacks"):
        program(tmp_path / "cut", callbacks=cut[:2])


def test_one_callback_may_be_given_alone_as_fit_takes_it(tmp_path):
    model = compiled("adam")
    for epochs in (1, 2):
        alone = Remembers()
        resume = Resume(tmp_path, callbacks=alone, show=False)
        data = resume.data(*arrays(), batch_size=BATCH)
        model.fit(data, epochs=epochs, callbacks=[alone, resume], shuffle=False, verbose=0)
    assert alone.updates == 2 * BATCHES
    Resume(tmp_path, callbacks=None)


def test_the_decay_log_of_an_epoch_is_of_all_of_it(tmp_path):
    program = Program(compiled("lamb"))

    def log(name):
        return [DecayLog(tmp_path / f"{name} log", show=False)]

    whole = program(tmp_path / "whole", callbacks=log("whole"))
    program(tmp_path / "cut", BATCHES + EVERY, callbacks=log("cut"))
    program(tmp_path / "cut", 2, callbacks=log("cut"))
    assert_same(whole, program(tmp_path / "cut", callbacks=log("cut")))
    assert 0 < whole[1].history["decay_on_fraction"][1] < 1
    for name in ("layers.csv", "variables.csv"):
        found = [(tmp_path / f"{run} log" / name).read_text() for run in ("whole", "cut")]
        assert found[0] == found[1]


def test_the_decay_log_tells_of_rows_that_were_removed(tmp_path):
    program, table = Program(compiled("lamb"), epochs=2), tmp_path / "log" / "layers.csv"

    def log():
        return [DecayLog(tmp_path / "log", every=1, show=False)]

    program(tmp_path / "run", BATCHES, callbacks=log())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "DecayLog")
        program(tmp_path / "run", EVERY + 1, callbacks=log())
    header, first, *others = table.read_text().splitlines(keepends=True)
    table.write_text("".join([header, *others]))  # those after the checkpoint come again
    with pytest.warns(UserWarning, match="^DecayLog: .*layers.csv lacks 1 of the 9 rows"):
        program(tmp_path / "run", callbacks=log())
    assert first not in table.read_text()


@needs_tensorflow
def test_the_noise_scale_of_a_trainer_goes_on(tmp_path):
    from tf_bdecay.callbacks import GradientNoiseScale

    trainer = tf_bdecay.Trainer.of(network())
    x, y = (a[:48] for a in arrays())

    def data(resume):
        return resume.data(x, y, batch_size=16)

    program = Program(compiled("lamb", trainer, micro_batch_size=4), data)
    results = []
    for cut in (None, 5):
        noise = GradientNoiseScale(None, show=False)
        folder = tmp_path / str(cut)
        if cut:
            program(folder, cut, callbacks=[noise], every_updates=2)
            trainer.noise_meter.assign({name: 1 for name in noise.get_state()})
            noise = GradientNoiseScale(None, show=False)
        results.append(program(folder, callbacks=[noise], every_updates=2))
        results[-1][1].history["state"] = noise.get_state()
        trainer.measure_gradient_noise(7)  # and forgets
    assert_same(*results)


@needs_tensorflow
def test_a_probe_measures_where_an_uninterrupted_run_does(tmp_path):
    """Also where its state is kept: that is in the optimizer alone, and no counter is restored."""
    from tf_bdecay.callbacks import ProbeDecision

    class Counts(ProbeDecision):
        at = ()

        def _decide(self):
            self.at = (*self.at, self.model.optimizer.totals()["updates"])
            super()._decide()

    policy = tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.05, source="probe")
    program = Program(compiled(tf_bdecay.Lamb(0.02, policy, compile_update=False)), epochs=2)
    x, y = arrays()
    probes = [Counts((x[:8], y[:8]), every=4) for _ in range(4)]
    whole = program(tmp_path / "whole", callbacks=probes[:1])
    assert program(tmp_path / "cut", EVERY + 2, callbacks=probes[1:2]) is None
    assert program(tmp_path / "cut", BATCHES, callbacks=probes[2:3]) is None
    assert_same(whole, program(tmp_path / "cut", callbacks=probes[3:]))
    assert [probe.at for probe in probes] == [(0, 4, 8, 12), (0, 4), (4, 8), (12,)]
