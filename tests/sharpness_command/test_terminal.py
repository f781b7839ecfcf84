"""Signals, closed outputs and poor encodings, in processes of their own."""

import io
import os
import signal
import subprocess
import sys

import pytest

from tests.sharpness_command.commands import named_files
from tf_bdecay.sharpness_command import terminal

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


def test_a_closed_pipe_ends_in_a_sentence(measured):
    folder, command = measured
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "Stdout cannot be written" in line and f"the figures are in {folder / 'out'}" in line


def test_a_full_device_ends_in_a_sentence(measured):
    with open("/dev/full", "w") as full:
        for command in (measured[1], [*COMMAND, "--help"]):
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
            (line,) = done.stderr.splitlines()
            assert done.returncode == 1 and "Stdout cannot be written" in line


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_without_unicode_gets_all_figures(measured, encoding):
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(measured[1], capture_output=True, env=env)
    assert done.returncode == 0 and not done.stderr
    printed = done.stdout.decode(encoding)
    assert "Total" in printed and "\\u" not in printed


def test_a_measurement_goes_on_without_its_terminal(measured, tmp_path):
    """Until all is in the files."""
    command = [*measured[1][:-1], f"--out={tmp_path / 'out'}"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert f"figures, table and pictures are in {tmp_path / 'out'}" in done.stderr.splitlines()[-1]
    assert (tmp_path / "out" / "result.json").exists()


SIGNALLED = """
import gc, os, signal, sys
from tf_bdecay.sharpness_command import flags, run, terminal

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

with terminal.stoppable(flags.PROGRAM) as stop:
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
    done = subprocess.run([sys.executable, "-c", SIGNALLED, name], capture_output=True, text=True)
    first, last = done.stderr.splitlines()
    assert f"{name}: ends after this step" in first
    assert f"{word}. All that was finished is kept" in last
    assert done.returncode == 128 + signal.Signals[name]


def test_the_second_signal_ends_at_once():
    code = (
        "import os, signal; from tf_bdecay.sharpness_command import terminal\n"
        "with terminal.stoppable('us') as stop:\n"
        "    for _ in range(2): os.kill(os.getpid(), signal.SIGTERM)\n"
        "    while True: pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + signal.SIGTERM


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminal.stoppable("us") as stop:
            signal.raise_signal(signal.SIGHUP)
            stop.check()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_put_back():
    before = [signal.getsignal(getattr(signal, name)) for name in terminal.SIGNALS]
    with terminal.stoppable("us") as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(terminal.Stopped):
            stop.check()
    assert [signal.getsignal(getattr(signal, name)) for name in terminal.SIGNALS] == before


def test_a_sentence_is_one_line_of_bounded_length(capsys):
    terminal.say("us", "wrong\nin " + "many " * 10_000 + "ways")
    error = capsys.readouterr().err
    assert error.startswith("us: wrong in many") and error.endswith("ways\n")
    assert len(error) < 2_100 and error.count("\n") == 1


def test_an_output_that_was_closed_takes_no_more():
    stream = io.StringIO()
    output = terminal.Output(stream)
    print("one", file=output)
    stream.close()
    print("two", file=output)
    assert isinstance(output.lost, ValueError) and not output.isatty()
