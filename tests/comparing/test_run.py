"""The command that compares runs: its picture, its table, and one sentence for each mistake."""

import os

import pytest

from tests.comparing import made
from tf_bdecay.comparing import picture, run


@pytest.fixture
def two(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made.run(tmp_path / "one")
    made.run(tmp_path / "two", seed=1)
    (tmp_path / "folder.png").mkdir()
    return ["one", "two"]


def test_it_writes_the_picture_and_prints_the_table(two, tmp_path, capsys):
    assert run.main([*two, "--out=both.png"]) == 0
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "evaluated by" in printed and "test, precise" in printed
    assert printed.rstrip().endswith("The picture is both.png.")


def test_names_in_brackets_are_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = ["sweep[lr=1]", "sweep[lr=2]"]
    for seed, name in enumerate(names):
        made.run(tmp_path / name, seed=seed)
    assert run.main(names) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["one"], "Name two runs or more"),
        (["one", "two", "--outt=x.png"], "did you mean '--out'"),
        (["one", "two", "--out=x.jpg"], "--out must end in .png. Received: 'x.jpg'"),
        (["one", "two", "--out=gone/x.png"], "--out=gone/x.png cannot be written (No such file"),
        (["one", "two", "--out=one/metrics.csv/x.png"], "cannot be written (Not a directory)"),
        (["one", "two", f"--out={'x' * 250}.png"], "cannot be written (File name too long)"),
        (["one", "gs://b/two"], "A run must be a path on this machine"),
        (["one", "~/no/run"], f"{os.path.expanduser('~')}/no/run is no run's folder"),
        (["one", "two", "--out=gs://b/x.png"], "--out must be a path on this machine"),
        (["one", "two", "--out=folder.png"], "--out=folder.png is a folder: name a file."),
    ],
)
def test_bad_input_is_one_sentence(two, tmp_path, arguments, said, capsys):
    before = set(tmp_path.iterdir())
    assert run.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tf-bdecay compare: ") and said in line
    assert set(tmp_path.iterdir()) == before


def test_a_traceback_that_is_asked_for_comes_before_the_sentence(two, capsys):
    assert run.main(["one", "--traceback=true"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Traceback") and "\ntf-bdecay compare: Name two runs" in error


def test_a_picture_that_cannot_be_written_any_more_is_a_failure(two, tmp_path, capsys, monkeypatch):
    (tmp_path / "gone").mkdir()
    draw = picture.draw
    monkeypatch.setattr(picture, "draw", lambda r: (tmp_path / "gone").rmdir() or draw(r))
    assert run.main([*two, "--out=gone/both.png"]) == 1
    assert "The comparison stops: " in capsys.readouterr().err


def test_help_is_a_page(capsys):
    assert run.main(["--help"], "prog") == 0
    assert "  prog runs/* --out=all.png" in capsys.readouterr().out
