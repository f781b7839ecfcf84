"""A folder keeps the newest k checkpoints and the best, and names damaged or lost ones."""

import hashlib
import io
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.processes import ended
from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoint_file, checkpoints


def test_a_disk_that_is_full_leaves_the_last_checkpoint_whole(tmp_path):
    code = """
import pathlib, resource, sys
import numpy as np
from tf_bdecay.storage import checkpoint_file, checkpoints

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
    done = ended(["-c", code, str(tmp_path)])
    assert done.stdout.splitlines() == [
        "File too large",
        "['kept.json', 'update_00000001.npz'] True",
    ], done.stderr


def test_a_kill_while_it_is_written_leaves_the_one_before(tmp_path):
    code = """
import os, pathlib, signal, sys
import numpy as np
from tf_bdecay.storage import checkpoint_file, checkpoints

folder = pathlib.Path(sys.argv[1])
checkpoints.save(folder, {"a": np.arange(3)}, {"update": 1}, keep=1)
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
checkpoints.save(folder, {"a": np.arange(3)}, {"update": 2}, keep=1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        timeout=600,
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
    assert checkpoint_file.read(tmp_path / "best.npz")[1]["update"] == 2
    put(tmp_path, 5, best=True)
    assert checkpoint_file.read(tmp_path / "best.npz")[1]["update"] == 5


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
        meta_of({"format": checkpoint_file.FORMAT}),
        meta_of({"format": checkpoint_file.FORMAT, "update": -2}),
        meta_of({"format": checkpoint_file.FORMAT, "update": "2"}),
        meta_of({"format": checkpoint_file.FORMAT, "update": True}),
        meta_of({"format": checkpoint_file.FORMAT, "update": 7}),
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
