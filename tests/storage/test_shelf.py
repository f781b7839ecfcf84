"""The newest k, the best, and what is said of those that are damaged or lost."""

import numpy as np
import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoints, shelf
from tf_bdecay.training.saver import Saver


def put(folder, *updates, keep=3, best=False):
    for update in updates:
        path = shelf.put(folder, {"a": np.full(3, update)}, {"update": update}, keep, best)
    return path


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def read(folder):
    warnings = []
    path, arrays, meta = shelf.newest_good(folder, warnings.append)
    assert (arrays["a"] == meta["update"]).all()
    return meta["update"], warnings


def test_only_the_newest_are_kept(tmp_path):
    put(tmp_path, 4, 8, 12, 100_000_000, keep=2)
    assert names(tmp_path) == ["kept.json", "update_00000012.npz", "update_100000000.npz"]
    assert shelf.newest(tmp_path).name == "update_100000000.npz"
    assert read(tmp_path) == (100_000_000, [])


def test_the_best_stays_whatever_its_age(tmp_path):
    put(tmp_path, 1)
    put(tmp_path, 2, best=True)
    put(tmp_path, 3, 4, keep=1)
    assert names(tmp_path) == ["best.npz", "kept.json", "update_00000004.npz"]
    assert checkpoints.read(tmp_path / "best.npz")[1]["update"] == 2
    put(tmp_path, 5, best=True)
    assert checkpoints.read(tmp_path / "best.npz")[1]["update"] == 5


def test_there_is_none_in_a_new_folder(tmp_path):
    assert shelf.newest(tmp_path / "not there") is None
    assert shelf.newest_good(tmp_path / "not there", print) is None


def test_an_unfinished_file_is_no_checkpoint(tmp_path):
    (tmp_path / ".update_00000004.npz.part").write_bytes(b"half")
    assert shelf.newest_good(tmp_path, print) is None
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
    update, (warning,) = read(tmp_path)
    assert update == 2
    assert f"The checkpoint {newest} " in warning and "going on from update_00000002" in warning
    put(tmp_path, 3, keep=1)  # and the run goes on
    assert read(tmp_path) == (3, [])


def test_one_that_went_on_counts_no_damaged_one_among_the_newest(tmp_path):
    put(tmp_path, 1, 9).write_bytes(b"")
    assert read(tmp_path)[0] == 1
    put(tmp_path, 2, keep=1)
    assert read(tmp_path) == (2, [])


def test_where_all_are_damaged_the_best_is_used_and_then_there_is_a_sentence(tmp_path):
    put(tmp_path, 1, best=True)
    for path in (put(tmp_path, 2, keep=2), put(tmp_path, 3, keep=2)):
        path.write_bytes(b"")
    (tmp_path / "best.npz").write_bytes((tmp_path / "best.npz").read_bytes())
    update, warnings = read(tmp_path)
    assert update == 1 and len(warnings) == 2
    (tmp_path / "best.npz").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(BadInput, match=r"None of the \d checkpoints .* can be read"):
            shelf.newest_good(tmp_path, print)


def test_a_damaged_list_of_what_must_be_there_is_named(tmp_path):
    put(tmp_path, 1)
    (tmp_path / "kept.json").write_text("{")
    update, (warning,) = read(tmp_path)
    assert update == 1 and "kept.json is damaged" in warning


def in_the_way(folder):
    folder.mkdir()
    (folder / "update_00000001.npz").mkdir()


def test_a_failure_in_the_background_is_raised_at_the_next_look(tmp_path):
    in_the_way(tmp_path / "c")
    saver = Saver(tmp_path / "c", 1)
    saver.save({}, {"update": 1})
    with pytest.raises(IsADirectoryError):
        saver.wait()
    saver.save({}, {"update": 2})
    saver.close()
    assert shelf.newest(tmp_path / "c").name == "update_00000002.npz"


def test_a_failure_that_may_be_is_a_warning(tmp_path):
    in_the_way(tmp_path / "c")
    warnings = []
    saver = Saver(tmp_path / "c", 1, "continue", warnings.append)
    saver.save({}, {"update": 1})
    saver.close()
    (warning,) = warnings
    assert "not saved, and training goes on" in warning and "update_00000001" in warning


def test_there_is_no_checkpoint_where_what_belongs_before_it_cannot_be_written(tmp_path):
    def fails():
        raise OSError(28, "No space left on device")

    saver = Saver(tmp_path / "c", 1, "continue", lambda line: None)
    saver.save({}, {"update": 1}, flush=[fails])
    saver.close()
    assert shelf.newest(tmp_path / "c") is None
