"""Resume in stock `fit`: an interrupted run ends as an uninterrupted one, to the bit."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import warnings

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tf_bdecay
from tests.callbacks.resuming.resumed import (
    BATCH,
    BATCHES,
    EPOCHS,
    EVERY,
    Program,
    arrays,
    assert_same,
    compiled,
    network,
    optimizers,
)
from tests.processes import ended, running
from tf_bdecay.callbacks import DecayLog, Resume
from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoint_file, checkpoints

pytestmark = pytest.mark.any_backend
TOTAL = BATCHES * EPOCHS
SCRIPT = pathlib.Path(__file__).with_name("resume_script.py")
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's"
)


@pytest.fixture(scope="module")
def adam(tmp_path_factory):
    """A program with Adam, and what its run that is not cut off comes to."""
    program = Program(compiled("adam"))
    return program, program(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("optimizer", optimizers())
@pytest.mark.quick_rows(2)
def test_cut_inside_an_epoch_and_between_epochs(optimizer, tmp_path):
    program = Program(compiled(optimizer))
    whole = program(tmp_path / "whole")
    # Inside epoch 1, then inside epoch 2, then right after its last update.
    for update in (EVERY + 2, BATCHES, 1):
        assert program(tmp_path / "cut", update) is None
    again = program(tmp_path / "cut")
    assert_same(whole, again)
    assert len(again[1].history["val_loss"]) == EPOCHS


@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(1, TOTAL), min_size=1, max_size=4), st.integers(1, 9))
def test_cut_after_any_updates(adam, tmp_path_factory, cuts, every):
    program, whole = adam
    folder = tmp_path_factory.mktemp("cut")
    for update in cuts:
        ended = program(folder, update, every_updates=every)
        if ended:
            break
    assert_same(whole, program(folder, every_updates=every))


def test_checkpoints_are_where_they_were_asked_for(tmp_path):
    program = Program(compiled("momentum"), epochs=1)
    program(tmp_path, keep=99)
    assert {p.name for p in tmp_path.glob("update_*")} == {
        f"update_{update:08d}.npz" for update in (3, 6, 7)
    }
    program.fit["epochs"] = 2  # what is left of a larger number
    said = len(program(tmp_path, keep=2)[1].history["loss"])
    assert said == 2
    assert {p.name for p in tmp_path.glob("update_*")} == {
        "update_00000012.npz", "update_00000014.npz",
    }  # fmt: skip
    minutes = tmp_path / "minutes"
    program.fit["epochs"] = 1
    program(minutes, keep=99, every_updates=None, every_minutes=1e-9)
    assert len(list(minutes.glob("update_*"))) == BATCHES


def test_a_finished_run_trains_no_more(adam, tmp_path, capsys):
    program, whole = adam
    program(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    assert_same(whole, program(tmp_path))
    assert f"Resume: the run in {tmp_path} is finished" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_the_next_fit_of_a_model_starts_at_its_own_epoch(tmp_path):
    program = Program(compiled("momentum"))
    program(tmp_path, BATCHES + 4)
    program(tmp_path)
    x, y = arrays()
    assert len(program.model.fit(x, y, epochs=2, verbose=0).history["loss"]) == 2


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(adam, tmp_path):
    program, whole = adam
    program(tmp_path, 11)
    newest = checkpoints.newest(tmp_path)
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="is damaged .* going on from update_00000007.npz"):
        assert_same(whole, program(tmp_path))
    assert newest.with_name(f"{newest.name}.damaged").exists()


def test_a_disk_that_is_full_stops_or_warns(adam, tmp_path, monkeypatch):
    program, whole = adam

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save", full)
    with pytest.raises(OSError, match="No space left"):
        program(tmp_path / "stops")
    with pytest.warns(UserWarning, match="not saved, and training goes on"):
        assert_same(whole, program(tmp_path / "goes on", on_error="continue"))


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


def test_other_callbacks_see_the_batches_that_are_left(adam, tmp_path):
    program, _ = adam
    seen = []
    look = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    program(tmp_path, EVERY + 1)
    program(tmp_path, others=[look])
    assert seen == [*range(BATCHES - EVERY), *range(BATCHES), *range(BATCHES)]
    assert program.model.stop_training is False


@pytest.mark.slow
def test_several_updates_an_execution(tmp_path):
    data = {"data": lambda resume: resume.data(*arrays(), batch_size=16)}  # 4 an epoch
    program = Program(compiled("momentum", steps_per_execution=2), **data)
    whole = program(tmp_path / "whole", every_updates=2)
    program(tmp_path / "cut", 4, every_updates=2)
    assert_same(whole, program(tmp_path / "cut", every_updates=2))
    program.data = lambda resume: resume.data(*arrays(), batch_size=BATCH)
    with pytest.raises(BadInput, match="steps_per_execution=2 must divide the 7 batches"):
        program(tmp_path / "other")


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


def test_the_file_says_what_it_is(tmp_path):
    Program(compiled("momentum"))(tmp_path, EVERY + 1)
    arrays, meta = checkpoint_file.read(checkpoints.newest(tmp_path))
    assert (meta["epoch"], meta["batch"], meta["update"], meta["ended"]) == (0, 3, 3, False)
    assert json.dumps(meta["run"]["data"]) and len(meta["run"]["layers"]) == 5
    assert any(label.startswith("metric/") for label in arrays)
    assert not any(name.endswith(".part") for name in os.listdir(tmp_path))


def start(folder, kind, where):
    """One start of the script; what it came to, or None where it was killed."""
    done = ended([str(SCRIPT), str(folder), kind, where])
    killed = {"update": 9, "end": 0}.get(where.split()[0], -signal.SIGKILL)
    assert done.returncode == killed, done.stderr
    return None if killed else (folder / "done").read_text()


KILLS = ("update 2", "write 2 900", "rename 1", "update 6", "evaluation", "write 1 5", "update 1")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arrays", "dataset", "function", "PyDataset", "replicas"])
def test_killed_in_processes_of_their_own(kind, tmp_path):
    """By os._exit and SIGKILL: between updates, inside a write, before a rename, in evaluation."""
    if kind in ("replicas", "dataset", "function") and keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow's")
    whole = start(tmp_path / "whole", kind, "end")
    for where in KILLS:
        start(tmp_path / "killed", kind, where)
    assert start(tmp_path / "killed", kind, "end") == whole


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path):
    """By SIGKILL from outside, by chance within a tenth of a second after a new checkpoint."""
    whole = start(tmp_path / "whole", "arrays", "end")
    chance, folder, ends = random.Random(0), tmp_path / "killed", []
    command = [sys.executable, str(SCRIPT), str(folder), "arrays", "end"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[3])}
    for _ in range(4):
        before, deadline = checkpoints.newest(folder), time.monotonic() + 300
        with running(command, env=environment, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and checkpoints.newest(folder) == before:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(0.1 * chance.random())
            process.kill()
            ends.append(process.wait())
        assert checkpoints.newest(folder) is not None
    assert -signal.SIGKILL in ends
    assert start(folder, "arrays", "end") == whole
