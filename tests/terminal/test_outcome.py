"""Commands end with one sentence of limited length and the right exit code."""

import errno
import signal
import subprocess
import sys

import pytest

from tests.processes import running
from tf_bdecay.errors import BadInput
from tf_bdecay.terminal import outcome, signals


class ResourceExhaustedError(Exception):
    """By its name alone TensorFlow's, as TensorFlow is not loaded for it."""


@pytest.mark.parametrize(
    "error, code, said",
    [
        (BadInput("Bad.\nWorse."), 2, "x.py: Bad. Worse."),
        (BadInput("a" * 100_000), 2, "aaa ... aaa"),
        (KeyboardInterrupt(), 130, "x.py: Interrupted. All is kept."),
        (signals.Stopped(signal.SIGTERM, "Saved."), 143, "x.py: Terminated. Saved."),
        (signals.Stopped(signal.SIGHUP), 129, "x.py: Hung up. All is kept."),
        (OSError(errno.ENOSPC, "No space"), 1, "The run stops: [Errno 28] No space. All is kept."),
        (MemoryError(), 1, "Memory does not suffice (MemoryError). Take less."),
        (ResourceExhaustedError("OOM\nnode"), 1, "(ResourceExhaustedError: OOM node). Take less."),
        (TypeError("first\nsecond"), 1, "not foreseen (TypeError: first second)"),
        (BrokenPipeError(), 0, ""),
        (SystemExit(7), 7, ""),
        (SystemExit("no"), 1, "x.py: no"),
    ],
)
def test_an_exception_is_a_code_and_a_sentence(error, code, said, capsys):
    ending = outcome.Ending("x.py")
    ending.kept, ending.fits = (lambda: "All is kept."), "Take less."

    def body():
        raise error

    assert ending.call(body) == code
    out, err = capsys.readouterr()
    assert out == "" and said in err
    assert len(err) < outcome.LONGEST + 20 and err.count("\n") == bool(said)


def test_a_traceback_goes_to_the_folder_or_where_it_is_asked_for(tmp_path, capsys):
    ending = outcome.Ending("x.py")
    assert ending.call(lambda: 1 // 0) == 1
    assert "--traceback shows where" in capsys.readouterr().err
    ending.folder = tmp_path
    assert ending.call(lambda: 1 // 0) == 1
    assert f"The traceback is in {tmp_path / outcome.LOG}" in capsys.readouterr().err
    assert "ZeroDivisionError" in (tmp_path / outcome.LOG).read_text()
    assert outcome.Ending("x.py", traceback=True).call(lambda: 1 // 0) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_what_tells_of_a_failure_does_not_fail(tmp_path, capsys):
    ending = outcome.Ending("x.py")
    ending.folder, ending.kept = tmp_path / "gone", lambda: 1 // 0
    assert ending.call(lambda: [][0]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_sentence_is_one_line_of_bounded_length(capsys):
    outcome.Ending("us").say("wrong\nin " + "many " * 10_000 + "ways")
    error = capsys.readouterr().err
    assert error.startswith("us: wrong in many") and error.endswith("ways\n")
    assert len(error) < 2_100 and error.count("\n") == 1


@pytest.mark.parametrize("error", [BadInput("no"), OSError("no"), KeyboardInterrupt(), TypeError()])
def test_a_traceback_that_is_asked_for_comes_before_every_sentence(error, tmp_path, capsys):
    ending = outcome.Ending("x.py", traceback=True)
    ending.folder = tmp_path
    assert ending.of(error) > 0
    *before, last = capsys.readouterr().err.splitlines()
    assert type(error).__name__ in "".join(before) and last.startswith("x.py: ")
    assert not (tmp_path / outcome.LOG).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_with_nothing_to_save_ends_at_once_even_in_a_collectors_callback(number):
    code = """
import gc, sys, time
from tf_bdecay.frameworks import quirks
from tf_bdecay.terminal import outcome
ending = outcome.Ending("x.py")
ending.kept = lambda: "Nothing was begun."
def slow(*_):
    print("ready", flush=True)
    time.sleep(60)  # an exception would be lost in here
with outcome.ends_at_signals(ending), quirks.silent_stderr():
    gc.callbacks.append(slow)
    gc.collect()
"""
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with running([sys.executable, "-c", code], **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert error == f"\nx.py: {outcome.word(number)}. Nothing was begun.\n"
