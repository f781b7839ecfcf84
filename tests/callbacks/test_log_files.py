"""Tables and events of a callback's folder, over runs that begin, go on and lose rows."""

import types
import warnings

import keras
import pytest

from tf_bdecay.callbacks.log_files import LogFiles, leads, unusable

pytestmark = pytest.mark.any_backend
TABLES = {"a.csv": ("update", "x"), "b.csv": ("update", "y")}


class Log(types.SimpleNamespace):
    """A callback, as far as its files need one."""


def written(callback, after, *updates):
    files = LogFiles(callback, TABLES, after)
    for update in updates:
        files.tables[0].add(update=update, x=1)
    files.flush()
    return files


def test_a_run_that_goes_on_writes_each_update_once(tmp_path):
    log = Log(log_dir=tmp_path / "new")
    written(log, 0, 1, 2, 3)
    files = written(log, 2, 3, 4)
    lines = (log.log_dir / "a.csv").read_text().split()
    assert lines == ["update,x", "1,1", "2,1", "3,1", "4,1"]
    assert (files.events is not None) == (keras.backend.backend() == "tensorflow")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files.warn_of_lost(files.counts())
    with pytest.warns(UserWarning, match="^Log: .*a.csv lacks"):
        written(log, 2).warn_of_lost(files.counts())


def test_the_tables_of_an_earlier_run_are_kept(tmp_path):
    log = Log(log_dir=tmp_path)
    written(log, 0, 1)
    with pytest.warns(UserWarning, match="Log begins a new run in .*: .* are kept as a-1.csv"):
        written(log, 0)
    assert (tmp_path / "a-1.csv").read_text().split() == ["update,x", "1,1"]


def test_a_process_of_its_own_leads():
    assert leads(keras.Sequential())


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    sentence = str(unusable(Log(log_dir=tmp_path), "full"))
    assert sentence.startswith("`log_dir` of Log cannot be used (full): name another folder.")
