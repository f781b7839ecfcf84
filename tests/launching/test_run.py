"""The launcher's command line: its own flags, and those of the training command after `--`."""

import sys

import pytest

from tf_bdecay.launching import run


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--workers=0"], "--workers must be a whole number from 1 to 1024. Received: 0"),
        (["--workers=99999"], "--workers must be a whole number from 1 to 1024. Received: 99999"),
        (["--workers=x"], "--workers must be a whole number. Received: 'x'"),
        (["--grace=0"], "--grace must be a number of seconds > 0 and < 1e7. Received: 0.0"),
        (["--grace=inf"], "--grace must be a number of seconds > 0 and < 1e7. Received: inf"),
        (["--grace=nan"], "--grace must be a number of seconds > 0 and < 1e7. Received: nan"),
        (["--restarts=-1"], "--restarts must be >= 0. Received: -1"),
        (["--wrkers=2"], "Unknown flag '--wrkers': did you mean '--workers'?"),
        (["train"], "takes the training command's flags behind `--`. Received: train"),
        (["--", "--strategy=none"], "--strategy is prog's to say to the workers"),
        (["--", "--worker_index=1"], "--worker_index is prog's to say to the workers"),
    ],
)
def test_bad_input_is_one_sentence_of_the_program(arguments, said, capsys, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert run.main(arguments, "prog") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("prog: ") and said in line


def test_who_is_a_worker_does_not_start_any(capsys, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert run.main(["--"], "prog") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("prog: ") and "TF_CONFIG for its workers" in line


def test_a_traceback_that_is_asked_for_comes_before_the_sentence(capsys):
    assert run.main(["--workers=0", "--traceback=true", "--", "--plan"], "prog") == 2
    error = capsys.readouterr().err
    assert error.startswith("Traceback") and "\nprog: --workers must be a whole" in error
    assert run.main(["--workers=0", "--", "--traceback"], "prog") == 2  # that of the workers
    assert "Traceback" not in capsys.readouterr().err


def test_help_is_a_page_on_stdout(capsys):
    assert run.main(["--workers=0", "--help"], "prog") == 0
    page = capsys.readouterr().out
    assert "  prog --workers=2 -- " in page
    assert all(f"--{flag} " in page for flag in ("workers", "restarts", "grace", "traceback"))


def test_flags_behind_the_dashes_are_the_workers(capsys, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    shows = [sys.executable, "-c", "import sys; print(sys.argv[1:])"]
    assert run.main(["--workers=2", "--", "--help", "--workdir=a b"], "prog", shows) == 0
    lines = sorted(capsys.readouterr().out.splitlines())
    told = "['--strategy=multi_worker', '--help', '--workdir=a b']"
    assert lines == [f"[0] {told}", f"[1] {told}"]
