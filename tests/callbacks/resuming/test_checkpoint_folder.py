"""A run's folder serves one process at a time and gives its newest readable checkpoint."""

import contextlib
import time

import numpy as np
import pytest

from tf_bdecay.callbacks.resuming import checkpoint_folder
from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoints

pytestmark = pytest.mark.any_backend
RUN = {"data": {"seed": 0}, "layers": ["Dense"], "compiled": {}, "versions": {"numpy": "2"}}


class Source:
    num_batches = 6

    def digest_of(self, epoch):
        return f"digest of {epoch}"


def written(folder, **changes):
    meta = {
        "update": 8,
        "epoch": 1,
        "batch": 2,
        "epochs": 3,
        "ended": False,
        "run": RUN,
        "history": {"epoch": [0], "logs": {"loss": [1.0]}},
        "callbacks": {"names": [], "states": []},
        "seen": {"1": "digest of 1"},
    }
    folder.mkdir(exist_ok=True)
    checkpoints.save(folder, {"model/0000": np.zeros(2)}, {**meta, **changes}, keep=3)
    return folder


def newest(folder, run=RUN, names=(), at_once=1):
    return checkpoint_folder.newest(folder, run, list(names), Source(), at_once)


def test_the_newest_is_read(tmp_path):
    assert newest(tmp_path) is None
    written(tmp_path)
    path, arrays, meta = newest(tmp_path)
    assert path.name == "update_00000008.npz" and meta["batch"] == 2
    assert arrays.keys() == {"model/0000"}


@pytest.mark.parametrize(
    "changes, arguments, says",
    [
        ({"seen": {"1": "another"}}, {}, "the first batch of epoch 2 is another. .* a seed"),
        ({"run": {**RUN, "data": {"seed": 5}}}, {}, "seed is 5 there and 0 here"),
        ({}, {"names": ["EarlyStopping"]}, r"callbacks \[\] then and \['EarlyStopping'\] now"),
        ({"batch": 3}, {"at_once": 2}, "steps_per_execution=2 must divide the 3 batches"),
        ({"batch": -1}, {}, "is not one of Resume"),
        ({"history": {}}, {}, "is not one of Resume"),
        ({"run": {}}, {}, "is not one of Resume"),
    ],
)
def test_what_is_of_another_run_is_refused(tmp_path, changes, arguments, says):
    written(tmp_path, **changes)
    with pytest.raises(BadInput, match=says):
        newest(tmp_path, **arguments)


def test_other_versions_are_warned_of(tmp_path):
    written(tmp_path)
    with pytest.warns(UserWarning, match="its bits may differ: numpy 2 then and 3 now"):
        newest(tmp_path, run={**RUN, "versions": {"numpy": "3"}})


def test_a_lock_of_this_process_is_taken_over_and_let_go(tmp_path):
    folder = tmp_path / "a" / "b"
    checkpoint_folder.lock(folder)
    checkpoint_folder.lock(folder)
    assert folder.is_dir()
    checkpoint_folder.unlock(folder)
    checkpoint_folder.unlock(folder)
    with checkpoints_locked(folder):
        pass


@pytest.fixture
def slow(monkeypatch):
    """Checkpoints take a while to write, and those of update 0 fail in the end."""
    write = checkpoints.write

    def slowly(path, arrays, meta):
        aside = path.with_name(f".{path.name}.part")
        aside.touch()
        time.sleep(0.3)
        assert aside.exists()
        if not meta["update"]:
            raise OSError(28, "No space left on device")
        write(path, arrays, meta)

    monkeypatch.setattr(checkpoints, "write", slowly)


@pytest.mark.parametrize("update", [1, 0])
def test_what_an_interrupted_fit_still_writes_is_waited_for(tmp_path, slow, update):
    checkpoint_folder.lock(tmp_path)
    saver = checkpoint_folder.saver(tmp_path, 3, "stop")
    saver.save({"model/0000": np.zeros(2)}, {"update": update})  # and nobody closes it
    said = pytest.warns(UserWarning, match="the interrupted `fit` was not saved: .*No space left")
    with contextlib.nullcontext() if update else said:
        checkpoint_folder.lock(tmp_path)
    found = checkpoints.read_newest(tmp_path, pytest.fail)
    assert (found is not None) == bool(update)
    with pytest.raises(BadInput, match="taken"), checkpoints_locked(tmp_path):
        pass
    checkpoint_folder.unlock(tmp_path)
    with checkpoints_locked(tmp_path):
        pass


def checkpoints_locked(folder):
    from tf_bdecay.storage.files import locked

    return locked(folder, "taken")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="`folder` of Resume cannot be used"):
        checkpoint_folder.lock(tmp_path / "file" / "inside")


def test_warnings_are_sentences():
    with pytest.warns(UserWarning, match="^said$"):
        checkpoint_folder.warn("said")
