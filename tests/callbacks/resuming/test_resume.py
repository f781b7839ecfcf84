"""Resume in stock `fit`: an interrupted run ends as an uninterrupted one, to the bit."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.callbacks.resuming.resumed import (
    BATCH,
    BATCHES,
    EPOCHS,
    EVERY,
    Program,
    arrays,
    assert_same,
    compiled,
    optimizers,
)
from tests.processes import ended, running
from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoint_file, checkpoints

pytestmark = pytest.mark.any_backend
TOTAL = BATCHES * EPOCHS
SCRIPT = pathlib.Path(__file__).with_name("resume_script.py")


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


def test_a_run_that_is_stopped_inside_an_epoch_goes_on_there(adam, tmp_path):
    program, whole = adam

    class Stops(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = self.model.stop_training or batch == 1

    assert len(program(tmp_path, others=[Stops()], every_updates=None)[1].history["loss"]) == 1
    assert checkpoints.newest(tmp_path).name == "update_00000002.npz"
    assert_same(whole, program(tmp_path))


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
