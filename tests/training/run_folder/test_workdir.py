"""A workdir belongs to one experiment, which it continues, and refuses any other."""

import json
import math

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoints
from tf_bdecay.training.run_folder import workdir as workdirs
from tf_bdecay.training.run_folder.workdir import Workdir

CONFIG = {"batch_size": 256, "decay.threshold": 0.1, "data.name": "digits"}


def contents(path):
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_nothing_is_written_before_it_is_opened(tmp_path):
    workdir = Workdir(tmp_path / "a" / "b", CONFIG)
    assert list(tmp_path.iterdir()) == []
    workdir.open({"strategy": "none"})
    assert json.loads((tmp_path / "a/b/config.json").read_text()) == CONFIG
    starts = json.loads((tmp_path / "a/b/versions.json").read_text())
    assert starts[0]["strategy"] == "none"
    assert {"python", "tensorflow", "keras"} <= set(starts[0])


def test_the_same_experiment_may_go_on_and_every_start_is_recorded(tmp_path):
    for _ in range(2):
        Workdir(tmp_path, CONFIG).open({})
    assert len(json.loads((tmp_path / "versions.json").read_text())) == 2


def test_infinite_values_survive_the_comparison(tmp_path):
    config = {**CONFIG, "decay.threshold": math.inf}
    Workdir(tmp_path, config).open({})
    Workdir(tmp_path, config)
    with pytest.raises(BadInput, match="decay.threshold is inf there and 0.1 here"):
        Workdir(tmp_path, CONFIG)


def test_another_experiment_is_refused_by_the_keys_that_differ(tmp_path):
    Workdir(tmp_path, CONFIG).open({})
    before = contents(tmp_path)
    other = {**CONFIG, "batch_size": 512, "model.width": 8}
    with pytest.raises(BadInput) as caught:
        Workdir(tmp_path, other)
    assert "batch_size is 256 there and 512 here" in str(caught.value)
    assert "model.width is (not there) there and 8 here" in str(caught.value)
    assert "data.name" not in str(caught.value)
    assert contents(tmp_path) == before


def test_a_run_from_before_a_key_was_there_has_its_default(tmp_path):
    Workdir(tmp_path, CONFIG).open({})
    newer, defaults = {**CONFIG, "log.variables": False}, {"log.variables": False, "batch_size": 1}
    Workdir(tmp_path, newer, defaults)
    for config in ({**newer, "log.variables": True}, {**newer, "batch_size": 1}):
        with pytest.raises(BadInput, match="holds another experiment"):
            Workdir(tmp_path, config, defaults)


def test_many_differences_are_counted_not_listed(tmp_path):
    Workdir(tmp_path, {f"key{i}": 0 for i in range(10)}).open({})
    with pytest.raises(BadInput, match=r"and 6 more"):
        Workdir(tmp_path, {f"key{i}": 1 for i in range(10)})


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(BadInput, match="not empty and holds no run"):
        Workdir(tmp_path, CONFIG)
    assert contents(tmp_path) == {tmp_path / "thesis.tex": b"precious"}


def test_a_damaged_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"batch_size": 25')
    with pytest.raises(BadInput, match="config.json is damaged .*: choose another --workdir.$"):
        Workdir(tmp_path, CONFIG)


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadInput) as caught:
            Workdir(path, CONFIG)
        expected = f"--workdir={path}: {tmp_path / 'file'} is not a folder: choose another."
        assert str(caught.value) == expected


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    def denied(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(workdirs.tempfile, "TemporaryFile", denied)  # root may write anywhere
    with pytest.raises(BadInput, match="cannot be used .Permission denied"):
        Workdir(tmp_path, CONFIG)


def test_one_run_at_a_time(tmp_path):
    with (
        Workdir(tmp_path / "run", CONFIG).lock(),
        pytest.raises(BadInput, match="in use by another run"),
        Workdir(tmp_path / "run", CONFIG).lock(),
    ):
        pass
    with Workdir(tmp_path / "run", CONFIG).lock():  # and after it the next
        pass


@pytest.mark.parametrize("name", ["config.json", "result.json"])
@pytest.mark.parametrize("content", ["[1]", "{", "directory"])
def test_files_of_something_else_are_named(tmp_path, name, content):
    Workdir(tmp_path, CONFIG).open({})
    (tmp_path / name).unlink(missing_ok=True)
    if content == "directory":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=name):
        _ = Workdir(tmp_path, CONFIG).result


def test_a_run_has_begun_once_there_is_a_checkpoint(tmp_path):
    workdir = Workdir(tmp_path, CONFIG)
    workdir.open({"from": {"update": 0, "epoch": 0}})
    assert not workdir.begun
    checkpoints.save(workdir.checkpoints, {}, {"update": 3}, keep=1)
    assert workdir.begun


@pytest.mark.parametrize(
    "place", [".", "run", "run/checkpoints", "run/tensorboard/a", "run/model.keras"]
)
def test_a_model_is_not_exported_among_the_files_of_its_run(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    workdir = Workdir("run", CONFIG)
    with pytest.raises(BadInput, match="--export=.* that the run in --workdir=run has no files in"):
        workdir.check_export(tmp_path / place)
    for free in ("run/export", "run2", tmp_path / "runs" / "run"):
        workdir.check_export(free)
    assert list(tmp_path.iterdir()) == []
