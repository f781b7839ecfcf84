"""Many processes as one: separate lines, the first failure's code, restarts after a loss."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import running
from tf_bdecay.launching import processes
from tf_bdecay.terminal import signals

ROOT = pathlib.Path(__file__).resolve().parents[2]


def program(text):
    """A command that runs Python text; `index` is the process' own."""
    head = "import json, os, signal, sys, time\n"
    head += "index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
    return [sys.executable, "-c", head + text]


def test_lines_are_apart_and_success_is_zero(capsys):
    assert processes.run(program("print('a'); print('b', index, file=sys.stderr)"), 2) == 0
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == ["[0] a", "[0] b 0", "[1] a", "[1] b 1"]


def test_the_first_failure_counts_and_the_others_are_ended(capsys):
    text = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nif index: sys.exit(3)\ntime.sleep(60)"
    assert processes.run(program(text), 2, grace=0.5, restarts=2) == 3
    said = capsys.readouterr().out
    assert "Worker 1 ended by exit code 3" in said and "SIGKILL" in said
    assert "again" not in said


@pytest.mark.parametrize(
    "end, code, starts",
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, 3),
        ("sys.exit(4)", 4, 3),
        ("sys.exit(2)", 2, 1),
    ],
)
def test_a_loss_is_tried_again_and_bad_input_is_not(end, code, starts, capfd):
    assert processes.run(program(f"print('start', flush=True)\n{end}"), 1, 5, 2) == code
    assert capfd.readouterr().out.count("[0] start") == starts


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_is_handed_on_once_to_each(number):
    text = (
        "from tf_bdecay.launching import processes\nimport sys\n"
        "text = 'import signal, sys, time\\nseen = []\\n"
        f'signal.signal({int(number)}, lambda *_: seen.append(1))\\nprint("up", flush=True)\\n'
        f"time.sleep(1)\\nprint(len(seen), flush=True)\\nsys.exit({128 + number})'\n"
        "sys.exit(processes.run([sys.executable, '-c', text], 2, 5, restarts=3))"
    )
    pipes = dict(stdout=subprocess.PIPE, text=True, start_new_session=True)
    with running([sys.executable, "-c", text], cwd=ROOT, **pipes) as run:
        said = [run.stdout.readline() for _ in range(2)]
        os.killpg(run.pid, number)  # as a terminal does
        rest, _ = run.communicate(timeout=120)
    assert sorted(said) == ["[0] up\n", "[1] up\n"]
    assert sorted(rest.splitlines()) == ["[0] 1", "[1] 1"]
    assert run.returncode == 128 + number


def test_a_hangup_that_is_ignored_stays_so():
    """As under nohup: neither the launcher nor a worker sees it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with processes.handed_on() as came:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGINT)
        assert came.seen == [signal.SIGINT]
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has it")
def test_workers_end_with_a_launcher_that_is_killed(tmp_path):
    worker = f"import os, time; open(f'{tmp_path}/{{os.getpid()}}', 'w').close(); time.sleep(3600)"
    code = (
        "from tf_bdecay.launching import processes\n"
        f"processes.run({[sys.executable, '-c', worker]}, 2)"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)

    def workers():
        return [int(path.name) for path in tmp_path.iterdir()]

    try:
        _wait_until(lambda: len(workers()) == 2)
        assert launcher.poll() is None
        launcher.kill()
        launcher.wait()
        _wait_until(lambda: not any(map(_lives, workers())))
    finally:
        launcher.kill()
        launcher.wait()
        for pid in filter(_lives, workers()):
            os.kill(pid, signal.SIGKILL)


def _wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.05)


def _lives(pid):
    try:
        return (
            pathlib.Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except OSError:
        return False
