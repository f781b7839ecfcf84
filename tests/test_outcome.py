"""How commands end: one bounded sentence, the right code, streams that may be gone."""

import errno
import io
import os
import signal
import subprocess
import sys

import pytest

from tf_bdecay import outcome
from tf_bdecay.distribution import signals
from tf_bdecay.errors import BadInput


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


PROGRAM = """
import sys
from tf_bdecay import outcome
ending = outcome.Ending("x.py")
ending.folder = sys.argv[1]
def body():
    for i in range(100_000):
        print("│─┌ line … ×", i)
    open(sys.argv[1] + "/end", "w").close()
    return 0
with outcome.steady_streams(ending, lambda: True) as lost:
    code = ending.call(body)
sys.exit(code + 10 * ending.unless_unread(0, lost))
"""


@pytest.mark.parametrize(
    "sink, code, log",
    [
        ("| head -1 > /dev/null", 0, "Broken pipe"),
        ("> /dev/full", 10, "No space left on device"),
        (">&-", 0, None),
        ("> /dev/null 2>&-", 0, None),
    ],
)
def test_work_goes_on_without_its_stdout(tmp_path, sink, code, log):
    (tmp_path / "x.py").write_text(PROGRAM)
    shell = f"set -o pipefail; '{sys.executable}' {tmp_path}/x.py {tmp_path} {sink}"
    run = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, env=os.environ)
    assert run.returncode == code, run.stderr
    assert ("x.py: Stdout cannot be written" in run.stderr) == (code == 10)
    assert len(run.stderr.splitlines()) == (code == 10) and (tmp_path / "end").exists()
    if log:
        lines = (tmp_path / outcome.LOG).read_text().splitlines()
        assert len(lines) == 1 and f"stdout is gone ({log}): the run goes on" in lines[0]
    else:
        assert not (tmp_path / outcome.LOG).exists()


def test_a_narrow_encoding_gets_plain_letters(tmp_path):
    (tmp_path / "x.py").write_text(PROGRAM)
    run = subprocess.run(
        [sys.executable, tmp_path / "x.py", tmp_path],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(b"|-+ line ... x 0\n")


def test_an_output_that_was_closed_takes_no_more(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with outcome.steady_streams(outcome.Ending("us")) as lost:
        print("one")
        stream.close()
        print("two")
        assert isinstance(lost["stdout"], ValueError) and not sys.stdout.isatty()


def test_a_sentence_that_stderr_takes_no_more_is_in_the_log(tmp_path, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    ending = outcome.Ending("us")
    ending.folder = tmp_path
    with outcome.steady_streams(ending):
        ending.say("The first, by which it is found out.")
        ending.say("The second.")
    ending.say("Outside.")
    lines = (tmp_path / outcome.LOG).read_text().splitlines()
    said = ["The first, by which it is found out.", "The second.", "Outside."]
    assert lines == [f"us: {sentence}" for sentence in said]


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
from tf_bdecay import outcome, quirks
ending = outcome.Ending("x.py")
ending.kept = lambda: "Nothing was begun."
def slow(*_):
    print("ready", flush=True)
    time.sleep(60)  # an exception would be lost in here
with outcome.ends_at_signals(ending), quirks.silent_stderr():
    gc.callbacks.append(slow)
    gc.collect()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert error == f"\nx.py: {outcome.word(number)}. Nothing was begun.\n"
