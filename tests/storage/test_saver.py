"""What happens to a run if a checkpoint cannot be written."""

import pytest

from tf_bdecay.storage import checkpoints
from tf_bdecay.storage.saver import Saver


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
    assert checkpoints.newest(tmp_path / "c").name == "update_00000002.npz"


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
    assert checkpoints.newest(tmp_path / "c") is None
