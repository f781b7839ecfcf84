"""Signals, closed outputs and poor encodings, each in a process of its own."""

import os
import signal
import subprocess
import sys

import pytest

from tests.processes import ended
from tests.sharpness_command.commands import named_files

COMMAND = [sys.executable, "-m", "tf_bdecay.sharpness"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder, and a command with its results in it: it prints them again, without TensorFlow."""
    from tf_bdecay.sharpness_command.run import main

    folder = tmp_path_factory.mktemp("measured")
    *_, arguments = named_files(folder)
    arguments = [*arguments[:2], "--measures=C", f"--out={folder / 'out'}"]
    assert main(arguments) == 0
    return folder, [*COMMAND, *arguments]


def without_a_reader(command):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=600)
    os.close(write)
    return done


def test_who_only_prints_ends_quietly_on_a_closed_pipe(measured):
    for command in (measured[1], [*COMMAND, "--help"]):
        done = without_a_reader(command)
        assert done.returncode == 0 and not done.stderr


@pytest.mark.slow
def test_a_measurement_goes_on_over_a_closed_pipe(measured, tmp_path):
    done = without_a_reader([*measured[1][:-1], f"--out={tmp_path / 'out'}"])
    assert done.returncode == 0 and not done.stderr
    assert (tmp_path / "out" / "result.json").exists()
    assert "stdout is gone (Broken pipe)" in (tmp_path / "out" / "errors.log").read_text()


def test_a_full_device_ends_in_a_sentence(measured):
    folder, printed = measured
    with open("/dev/full", "w") as full:
        for command in (printed, [*COMMAND, "--help"]):
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=600
            )
            (line,) = done.stderr.splitlines()
            assert done.returncode == 1 and "Stdout cannot be written" in line
            assert (f"pictures are in {folder / 'out'}." in line) == (command is printed)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_without_unicode_gets_all_figures(measured, encoding):
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(measured[1], capture_output=True, env=env, timeout=600)
    assert done.returncode == 0 and not done.stderr
    printed = done.stdout.decode(encoding)
    assert "Total" in printed and "\\u" not in printed


@pytest.mark.slow
def test_a_measurement_goes_on_without_its_terminal(measured, tmp_path):
    """Until all is in the files."""
    command = [*measured[1][:-1], f"--out={tmp_path / 'out'}"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=600)
    assert done.returncode == 1
    assert f"figures, table and pictures are in {tmp_path / 'out'}" in done.stderr.splitlines()[-1]
    assert (tmp_path / "out" / "result.json").exists()


SIGNALLED = """
import gc, os, signal, sys
from tf_bdecay.terminal import signals
from tf_bdecay.sharpness_command import run

number = signal.Signals[sys.argv[1]]
signal.signal(number, signal.default_int_handler)  # whoever started this may ignore it

def in_a_collection(phase, info):  # Python drops what is raised here
    gc.callbacks.remove(in_a_collection)
    os.kill(os.getpid(), number)
    for _ in range(1000):
        pass

def loads(*arguments):
    gc.callbacks.append(in_a_collection)
    gc.collect()

with signals.deferred(run.PROMISE) as stop:
    run.subject.find = loads
    run.subject.check_data = run.subject.settings_of = lambda *arguments: None
    run.subject.onednn_overruns = lambda found: False
    class Folder:
        result = None
        def __init__(self, *arguments): pass
    run.Folder = Folder
    sys.exit(run.main(["--model=x", "--out=x"], stop=stop))
"""


@pytest.mark.parametrize(
    "name, word",
    [("SIGINT", "Interrupted"), ("SIGTERM", "Terminated"), ("SIGHUP", "Hung up")],
)
def test_a_signal_in_a_collectors_callback_is_not_lost(name, word):
    done = ended(["-c", SIGNALLED, name])
    # A thread says the first: either may be there before the other.
    first, last = sorted(done.stderr.splitlines(), key=lambda line: "ends after" not in line)
    assert f"{name}: ends after this step" in first
    assert f"{word}. All that was finished is kept" in last
    assert done.returncode == 128 + signal.Signals[name]
