"""What a checkpoint holds; a damaged or foreign one is refused and changes nothing."""

import signal
import subprocess
import sys

import numpy as np
import pytest

import tf_bdecay
from tests.training.small import digits, trainer, values
from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoints

META = {"update": 4}


def state(made):
    return checkpoints.state_of(made, made.optimizer)


def train(made, epochs=1):
    x, y = digits()
    made.fit(x, y, batch_size=64, epochs=epochs, shuffle=False, verbose=0)
    return made


def save(path, made):
    checkpoints.write(path, checkpoints.snapshot(state(made)), META)
    return path


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a checkpoint of the network as it starts."""
    return save(tmp_path_factory.mktemp("checkpoint") / "whole.npz", trainer()).read_bytes()


def test_going_on_from_a_checkpoint_equals_not_stopping_dropout_included(tmp_path):
    whole = train(train(trainer(dropout=0.5)))
    half = train(trainer(dropout=0.5))
    copies = checkpoints.snapshot(state(half))
    train(half)  # changes no copy
    checkpoints.write(tmp_path / "half.npz", copies, META)
    arrays, meta = checkpoints.read(tmp_path / "half.npz")
    assert meta == {"format": checkpoints.FORMAT, **META}
    resumed = trainer(dropout=0.5, seed=99)
    checkpoints.assign("half.npz", arrays, state(resumed))
    train(resumed)
    for label, variable in state(whole).items():
        np.testing.assert_array_equal(variable.numpy(), state(resumed)[label].numpy(), label)


def test_decision_seeds_and_statistics_are_in_it():
    labels = " ".join(state(trainer(dropout=0.5)))
    for part in ("seed_generator", "moving_mean", "bias_ratio", "skipped_updates", "iteration"):
        assert part in labels


@pytest.mark.parametrize("flipped", [*np.linspace(0, 1, 9), "truncated", "marked", "empty"])
def test_a_file_that_is_not_what_was_written_is_damaged(tmp_path, content, flipped):
    if flipped == "truncated":
        changed = content[: len(content) // 2]
    elif flipped == "marked":  # the checksum alone is lost: the archive itself is whole
        changed = content[: -checkpoints._TRAILER]
    elif flipped == "empty":
        changed = b""
    else:
        changed = bytearray(content)
        changed[int(flipped * (len(content) - 1))] ^= 1
    (tmp_path / "x.npz").write_bytes(changed)
    with pytest.raises(checkpoints.Damaged, match="x.npz is damaged"):
        checkpoints.read(tmp_path / "x.npz")


def test_a_file_that_is_lost_or_cannot_be_read_is_damaged(tmp_path):
    with pytest.raises(checkpoints.Damaged, match="x.npz is missing"):
        checkpoints.read(tmp_path / "x.npz")
    (tmp_path / "x.npz").mkdir()
    with pytest.raises(checkpoints.Damaged, match="x.npz cannot be read .Is a directory"):
        checkpoints.read(tmp_path / "x.npz")


def test_another_format_is_a_sentence(tmp_path):
    old = dict(a=np.zeros(3), meta=np.frombuffer(b'{"epoch": 1, "update": 4}', np.uint8))
    np.savez(tmp_path / "old.npz", **old)
    checkpoints.write(tmp_path / "new.npz", {}, {"format": 9})
    for name, version in (("old", 1), ("new", 9)):
        with pytest.raises(BadInput, match=f"{name}.npz is of format {version} and") as caught:
            checkpoints.read(tmp_path / f"{name}.npz")
        assert not isinstance(caught.value, checkpoints.Damaged)  # none is silently passed over


def test_another_model_or_optimizer_is_refused_by_name_and_changes_nothing():
    arrays = checkpoints.snapshot(state(trainer()))
    for other, said in (
        (trainer(tf_bdecay.SGD(0.1)), "of another model or optimizer.*only in"),
        (trainer(dropout=0.1), "of another model or optimizer.*seed_generator_state"),
    ):
        before = values(state(other).values())
        with pytest.raises(BadInput, match=said):
            checkpoints.assign("x.npz", arrays, state(other))
        for a, b in zip(before, values(state(other).values()), strict=True):
            np.testing.assert_array_equal(a, b)
    made = state(trainer())
    label = next(k for k in made if k.endswith("/kernel"))
    arrays[label] = arrays[label].astype("float64")
    with pytest.raises(BadInput, match="kernel.*float64.*there and float32"):
        checkpoints.assign("x.npz", arrays, made)


def test_a_disk_that_is_full_leaves_the_last_checkpoint_whole(tmp_path):
    code = """
import pathlib, resource, sys
import numpy as np
from tf_bdecay.storage import shelf

folder, array = pathlib.Path(sys.argv[1]), np.arange(100_000)
shelf.put(folder, {"a": array}, {"update": 1}, keep=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    shelf.put(folder, {"a": array + 1}, {"update": 2}, keep=1)
except OSError as error:
    print(error.strerror)
path, arrays, meta = shelf.newest_good(folder, print)
print(sorted(p.name for p in folder.iterdir()), (arrays["a"] == array).all())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "File too large",
        "['kept.json', 'update_00000001.npz'] True",
    ], done.stderr


def test_a_kill_while_it_is_written_leaves_the_one_before(tmp_path):
    code = """
import os, pathlib, signal, sys
import numpy as np
from tf_bdecay.storage import checkpoints, shelf

folder = pathlib.Path(sys.argv[1])
shelf.put(folder, {"a": np.arange(3)}, {"update": 1}, keep=1)
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
shelf.put(folder, {"a": np.arange(3)}, {"update": 2}, keep=1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
    )
    assert done.returncode == -signal.SIGKILL
    from tf_bdecay.storage import shelf

    path, arrays, meta = shelf.newest_good(tmp_path, print)
    assert meta["update"] == 1
