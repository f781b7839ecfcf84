"""Work continues if a stream is gone, and what could not be printed is in the log."""

import errno
import io
import os
import subprocess
import sys

import pytest

from tf_bdecay.terminal import outcome, streams

PROGRAM = """
import sys
from tf_bdecay.terminal import outcome, streams
ending = outcome.Ending("x.py")
ending.folder = sys.argv[1]
def body():
    for i in range(100_000):
        print("│─┌ line … ×", i)
    open(sys.argv[1] + "/end", "w").close()
    return 0
with streams.steady(ending, lambda: True) as lost:
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
    run = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, env=os.environ, timeout=600
    )
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
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(b"|-+ line ... x 0\n")


def test_an_output_that_was_closed_takes_no_more(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with streams.steady(outcome.Ending("us")) as lost:
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
    with streams.steady(ending):
        ending.say("The first, by which it is found out.")
        ending.say("The second.")
    ending.say("Outside.")
    lines = (tmp_path / outcome.LOG).read_text().splitlines()
    said = ["The first, by which it is found out.", "The second.", "Outside."]
    assert lines == [f"us: {sentence}" for sentence in said]
