"""Runs of main.py that are cut off: signals, kills, full disks, divergence."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios

import pytest

from main import main
from tests.processes import ended, read_until
from tests.short_run import ROOT, TINY, start
from tests.training.small import network
from tf_bdecay.storage import checkpoints
from tf_bdecay.terminal import outcome
from tf_bdecay.training.building import parts
from tools.kills.compare import differences


def after_an_epoch(process):
    """Waits until a run says that its first epoch has ended; three are to come."""
    read_until(process, "epoch 1/")


@pytest.mark.slow  # tests/training/fitting/test_resume.py has a signal within a process
@pytest.mark.parametrize(
    "number, code, word",
    [
        (signal.SIGTERM, 143, "Terminated"),
        (signal.SIGINT, 130, "Interrupted"),
        (signal.SIGHUP, 129, "Hung up"),
    ],
)
def test_a_run_that_a_signal_ends_goes_on_to_the_same_bits(finished, tmp_path, number, code, word):
    path = tmp_path / "cut"
    process = start(f"--workdir={path}", *TINY)
    after_an_epoch(process)
    process.send_signal(number)
    out, error = process.communicate(timeout=600)
    assert process.returncode == code, error
    said = error.strip().splitlines()[-1]
    assert said.startswith(f"main.py: {word}.") and "Traceback" not in error
    assert said.endswith("run the same command again.")
    assert str(checkpoints.newest(path / "checkpoints")) in said
    assert not (path / "result.json").exists()

    assert main([f"--workdir={path}", *TINY]) == 0
    assert differences(finished, path) == []


@pytest.mark.slow
def test_a_run_whose_terminal_hangs_up_saves_and_says_so_in_its_log(tmp_path):
    """The kernel sends SIGHUP, and neither stdout nor stderr can be written any more."""
    path = tmp_path / "cut"
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "main.py", f"--workdir={path}", *TINY, "--config.epochs=500"],
        cwd=ROOT,
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(end)
    said = b""
    while not re.search(rb"update \d\d+/1500", said):  # of 3 an epoch; a process that ends raises
        said += os.read(terminal, 4096)
    os.close(terminal)
    assert process.wait(timeout=600) == 129
    newest = checkpoints.newest(path / "checkpoints")
    log = (path / outcome.LOG).read_text()
    assert f"main.py: Hung up. Everything so far is kept in {path}" in log and str(newest) in log
    assert "Traceback" not in log


@pytest.mark.slow
@pytest.mark.parametrize("gone", [".", "tensorboard"])
def test_a_folder_that_is_deleted_under_a_run_ends_it_with_what_is_true(tmp_path, gone):
    path = tmp_path / "run"
    process = start(f"--workdir={path}", *TINY)
    after_an_epoch(process)
    (path / gone).resolve().rename(tmp_path / "deleted")  # at once, as no run could write into it
    out, error = process.communicate(timeout=600)
    assert process.returncode == 1, error
    (said,) = [line for line in error.splitlines() if line]
    assert said.startswith("main.py: The run stops: ") and "No such file" in said
    if gone == ".":
        assert said.endswith(f"Nothing is kept: {path} holds no run.") and not path.exists()
    else:
        assert f"Everything so far is kept in {path}; " in said


@pytest.mark.slow
@pytest.mark.parametrize("rule, code", [("stop", 1), ("continue", 0)])
def test_a_disk_that_is_full_stops_the_run_or_not(tmp_path, rule, code):
    path = tmp_path / "run"
    limited = (  # bytes of a file: less than a checkpoint has, more than any other
        "import resource, sys, main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))\n"
        "sys.exit(main.main(sys.argv[1:]))"
    )
    flags = [f"--workdir={path}", *TINY, f"--config.log.on_save_error={rule}"]
    command = ["-c", limited, *flags]
    run = ended(command)
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    if code:
        assert "main.py: The run stops: [Errno 27] File too large" in run.stderr
        assert "there is no checkpoint yet" in run.stderr
    else:
        assert run.stdout.count("Warning: not saved, and training goes on") == 4
        assert json.loads((path / "result.json").read_text())["updates"] == 12
    assert [p.name for p in (path / "checkpoints").iterdir()] == []


@pytest.mark.parametrize(
    "flag, said",
    [
        ("--cases=plian", "did you mean 'plain'"),
        ("--folder=configs", "--folder must be new or empty"),
    ],
)
def test_the_kill_test_refuses_wrong_flags(flag, said):
    command = ["tools/kill_test.py", flag]
    run = ended(command)
    assert run.returncode == 2
    assert run.stderr.startswith("kill_test.py: ") and said in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("case", ["plain", "faults"])
def test_runs_that_are_killed_go_on_to_the_same_bits(case, tmp_path):
    command = ["tools/kill_test.py", "--kills=2", f"--cases={case}", f"--folder={tmp_path / 'k'}"]
    run = ended(command, timeout=3600)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{case}: killed" in run.stdout


def test_a_diverging_run_stops_with_code_3_and_keeps_everything(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parts, "make_model", lambda *_: network())  # quick to trace
    path = tmp_path / "nan"
    arguments = ["--config.learning_rate.peak=1e30", "--config.max_skipped_updates=2"]
    assert main([f"--workdir={path}", *TINY, *arguments]) == 3
    error = capsys.readouterr().err
    assert "not finite in 2 updates in a row, the last of them update " in error
    assert "Traceback" not in error and len(error.strip().splitlines()) == 1
    assert (path / "layers.csv").stat().st_size > 100
    assert not (path / "result.json").exists()


@pytest.mark.slow
def test_a_run_of_nan_without_skipping_is_no_success(tmp_path, capsys):
    code = main(
        [
            *TINY,
            "--config.optimizer.skip_nonfinite=false",
            "--config.learning_rate.peak=1e30",
            f"--workdir={tmp_path / 'run'}",
        ]
    )
    assert code == 3
    assert "skip_nonfinite is off" in capsys.readouterr().err
