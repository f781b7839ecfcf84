"""Paths in flags: home folders, and addresses that are not paths."""

import os
import pathlib

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage.paths import check_can_write, check_new_folder, local

pytestmark = pytest.mark.any_backend


def test_a_home_is_found_and_all_else_stays(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert local("--workdir", "~/runs/a") == "/home/me/runs/a"
    for path in ("runs/~a", "/x", "", "a://"[:2], "C:x", "./gs:", pathlib.Path("runs")):
        assert local("--workdir", path) == os.fspath(path)


@pytest.mark.parametrize("path", ["gs://bucket/run", "s3://b", "https://x/y.npz", "file:///tmp/x"])
def test_an_address_is_refused(path):
    with pytest.raises(BadInput) as caught:
        local("--out", path)
    assert str(caught.value).startswith("--out must be a path on this machine")
    assert str(caught.value).endswith(f"Received: {path}")


def test_a_new_folder_is_one_that_can_be_made_or_is_empty(tmp_path, monkeypatch):
    (tmp_path / "full" / "inner").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "a" / "b", tmp_path / "empty", str(tmp_path / "c")):
        check_new_folder("--export", path)
    names = ("full", "file", "file/a", "dangling", "link", "present", "x" * 250)
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    (tmp_path / "present").mkdir()
    monkeypatch.chdir(tmp_path / "present")
    for path in ("", ".", "../present", "new/..", "/", "x" * 5000, *(tmp_path / n for n in names)):
        with pytest.raises(BadInput, match="--export=.*must be a new or empty folder") as caught:
            check_new_folder("--export", path)
        assert len(str(caught.value)) < 600
    assert not (tmp_path / "a").exists()


def test_a_file_that_cannot_be_written_is_named_before_the_work(tmp_path):
    check_can_write("--out", tmp_path / "a.png")
    assert not any(tmp_path.iterdir())
    with pytest.raises(BadInput, match="--out=.* is a folder: name a file"):
        check_can_write("--out", tmp_path)
    with pytest.raises(BadInput, match="--out=.*cannot be written .*No such file"):
        check_can_write("--out", tmp_path / "missing" / "a.png")
