"""A file is complete or refused; a folder has the newest k, the best, and names what is lost."""

import hashlib
import io
import json
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
    return save(tmp_path_factory.mktemp("checkpoint") / "x.npz", trainer()).read_bytes()


def test_going_on_from_a_checkpoint_equals_not_stopping_dropout_included(tmp_path):
    uninterrupted = train(train(trainer(dropout=0.5)))
    half = train(trainer(dropout=0.5))
    copies = checkpoints.snapshot(state(half))
    train(half)  # changes no copy
    checkpoints.write(tmp_path / "half.npz", copies, META)
    arrays, meta = checkpoints.read(tmp_path / "half.npz")
    assert meta == {"format": checkpoints.FORMAT, **META}
    resumed = trainer(dropout=0.5, seed=99)
    checkpoints.assign("half.npz", arrays, state(resumed))
    train(resumed)
    for label, variable in state(uninterrupted).items():
        np.testing.assert_array_equal(variable.numpy(), state(resumed)[label].numpy(), label)


def test_decision_seeds_and_statistics_are_in_it():
    labels = " ".join(state(trainer(dropout=0.5)))
    for part in ("seed_generator", "moving_mean", "bias_ratio", "skipped_updates", "iteration"):
        assert part in labels


@pytest.mark.parametrize("flipped", [*np.linspace(0, 1, 9), "truncated", "marked", "empty"])
def test_a_file_that_is_not_what_was_written_is_damaged(tmp_path, content, flipped):
    if flipped == "truncated":
        changed = content[: len(content) // 2]
    elif flipped == "marked":  # the checksum alone is lost: the archive itself is complete
        changed = content[: content.rindex(b"\n")]
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
    checkpoints.write(tmp_path / "new.npz", {}, {"format": 9})
    with pytest.raises(BadInput, match="new.npz is of format 9 and") as caught:
        checkpoints.read(tmp_path / "new.npz")
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
from tf_bdecay.storage import checkpoints

folder, array = pathlib.Path(sys.argv[1]), np.arange(100_000)
checkpoints.save(folder, {"a": array}, {"update": 1}, keep=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    checkpoints.save(folder, {"a": array + 1}, {"update": 2}, keep=1)
except OSError as error:
    print(error.strerror)
path, arrays, meta = checkpoints.read_newest(folder, print)
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
from tf_bdecay.storage import checkpoints

folder = pathlib.Path(sys.argv[1])
checkpoints.save(folder, {"a": np.arange(3)}, {"update": 1}, keep=1)
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
checkpoints.save(folder, {"a": np.arange(3)}, {"update": 2}, keep=1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
    )
    assert done.returncode == -signal.SIGKILL
    path, arrays, meta = checkpoints.read_newest(tmp_path, print)
    assert meta["update"] == 1


def put(folder, *updates, keep=3, best=False):
    for update in updates:
        path = checkpoints.save(folder, {"a": np.full(3, update)}, {"update": update}, keep, best)
    return path


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def read_newest(folder):
    warnings = []
    path, arrays, meta = checkpoints.read_newest(folder, warnings.append)
    assert (arrays["a"] == meta["update"]).all()
    return meta["update"], warnings


def test_only_the_newest_are_kept(tmp_path):
    put(tmp_path, 4, 8, 12, 100_000_000, keep=2)
    assert names(tmp_path) == ["kept.json", "update_00000012.npz", "update_100000000.npz"]
    assert checkpoints.newest(tmp_path).name == "update_100000000.npz"
    assert read_newest(tmp_path) == (100_000_000, [])


def test_the_best_stays_whatever_its_age(tmp_path):
    put(tmp_path, 1)
    put(tmp_path, 2, best=True)
    put(tmp_path, 3, 4, keep=1)
    assert names(tmp_path) == ["best.npz", "kept.json", "update_00000004.npz"]
    assert checkpoints.read(tmp_path / "best.npz")[1]["update"] == 2
    put(tmp_path, 5, best=True)
    assert checkpoints.read(tmp_path / "best.npz")[1]["update"] == 5


def test_there_is_none_in_a_new_folder(tmp_path):
    assert checkpoints.newest(tmp_path / "not there") is None
    assert checkpoints.read_newest(tmp_path / "not there", print) is None


def test_a_folder_is_made_but_not_the_one_it_is_in(tmp_path):
    put(tmp_path / "checkpoints", 1)
    (tmp_path / "checkpoints").rename(tmp_path / "moved")
    put(tmp_path / "checkpoints", 2)
    assert checkpoints.newest(tmp_path / "checkpoints").name == "update_00000002.npz"
    with pytest.raises(FileNotFoundError):
        put(tmp_path / "deleted" / "checkpoints", 3)
    assert not (tmp_path / "deleted").exists()


def test_an_unfinished_file_is_no_checkpoint(tmp_path):
    (tmp_path / ".update_00000004.npz.part").write_bytes(b"half")
    assert checkpoints.read_newest(tmp_path, print) is None
    assert names(tmp_path) == []  # and takes no room on the disk


@pytest.mark.parametrize("damage", ["cut", "flipped", "deleted", "folder"])
def test_a_damaged_newest_is_named_and_counts_no_longer(tmp_path, damage):
    newest = put(tmp_path, 1, 2, 3)
    content = newest.read_bytes()
    newest.unlink()
    if damage == "folder":
        newest.mkdir()
    elif damage != "deleted":
        newest.write_bytes(content[:-1] if damage == "cut" else b"P" + b"\0" + content[2:])
    update, (warning,) = read_newest(tmp_path)
    assert update == 2
    assert f"The checkpoint {newest} " in warning and "going on from update_00000002" in warning
    put(tmp_path, 3, keep=1)  # and the run goes on
    assert read_newest(tmp_path) == (3, [])


def test_a_reader_takes_the_newest_sound_one_and_leaves_the_folder_as_it_is(tmp_path):
    assert checkpoints.newest_sound(tmp_path, print) is None
    newest, warnings = put(tmp_path, 1, 2, 3), []
    assert checkpoints.newest_sound(tmp_path, warnings.append) == newest and not warnings
    newest.write_bytes(b"")
    (tmp_path / ".update_00000004.npz.part").write_bytes(b"half")  # a run is writing it
    before = names(tmp_path)
    found = checkpoints.newest_sound(tmp_path, warnings.append)
    assert found.name == "update_00000002.npz" and names(tmp_path) == before
    (warning,) = warnings
    assert warning == (
        f"The checkpoint {newest} is damaged (its checksum is wrong): update_00000002.npz is taken "
        "in its place."
    )


def test_one_that_went_on_counts_no_damaged_one_among_the_newest(tmp_path):
    put(tmp_path, 1, 9).write_bytes(b"")
    assert read_newest(tmp_path)[0] == 1
    put(tmp_path, 2, keep=1)
    assert read_newest(tmp_path) == (2, [])


def test_where_all_are_damaged_the_best_is_used_and_then_there_is_a_sentence(tmp_path):
    put(tmp_path, 1, best=True)
    for path in (put(tmp_path, 2, keep=2), put(tmp_path, 3, keep=2)):
        path.write_bytes(b"")
    (tmp_path / "best.npz").write_bytes((tmp_path / "best.npz").read_bytes())
    update, warnings = read_newest(tmp_path)
    assert update == 1 and len(warnings) == 2
    (tmp_path / "best.npz").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(BadInput, match=r"None of the \d checkpoints .* can be read"):
            checkpoints.read_newest(tmp_path, print)


def test_a_damaged_list_of_what_must_be_there_is_named(tmp_path):
    put(tmp_path, 1)
    (tmp_path / "kept.json").write_text("{")
    update, (warning,) = read_newest(tmp_path)
    assert update == 1 and "kept.json is damaged" in warning


def forged(path, content):
    """Writes bytes as a checkpoint whose checksum is right."""
    digest = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content + b"\ntf_bdecay checkpoint, sha256 " + digest)


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def meta_of(value):
    return npz(meta=np.frombuffer(json.dumps(value).encode(), np.uint8))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip",
        npz(a=np.zeros(3)),
        npz(meta=np.array(None, dtype=object)),
        npz(meta=np.frombuffer(b"{", np.uint8)),
        meta_of([]),
        meta_of({}),
        meta_of({"format": "3", "update": 2}),
        meta_of({"format": checkpoints.FORMAT}),
        meta_of({"format": checkpoints.FORMAT, "update": -2}),
        meta_of({"format": checkpoints.FORMAT, "update": "2"}),
        meta_of({"format": checkpoints.FORMAT, "update": True}),
        meta_of({"format": checkpoints.FORMAT, "update": 7}),
    ],
)
def test_a_checkpoint_of_a_stranger_is_set_aside_for_an_older_one(tmp_path, content):
    checkpoints.save(tmp_path, {"a": np.ones(2)}, {"update": 1}, keep=3)
    forged(tmp_path / "update_00000002.npz", content)
    warnings = []
    path, arrays, meta = checkpoints.read_newest(tmp_path, warnings.append)
    assert path.name == "update_00000001.npz" and meta["update"] == 1
    np.testing.assert_array_equal(arrays["a"], np.ones(2))
    assert len(warnings) == 1 and "going on from update_00000001.npz" in warnings[0]
    assert (tmp_path / "update_00000002.npz.damaged").exists()


@pytest.mark.parametrize("content", ['{"kept": "abc"}', '{"kept": [1]}', "{}", "[]", "null", "{"])
def test_a_list_of_checkpoints_that_says_nothing_is_told(tmp_path, content):
    checkpoints.save(tmp_path, {"a": np.ones(2)}, {"update": 1}, keep=3)
    (tmp_path / "kept.json").write_text(content)
    warnings = []
    assert checkpoints.read_newest(tmp_path, warnings.append)[2]["update"] == 1
    assert len(warnings) == 1 and "kept.json is damaged" in warnings[0]
