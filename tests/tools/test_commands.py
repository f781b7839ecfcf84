"""The tools end with one sentence and an exit code, and show a traceback on request."""

import pytest

from tests.processes import ended

TOOL = """
from tools import commands

def fails(rest):
    raise TypeError(f"no\\n{rest[1:]}")

commands.run("x.py", fails)
"""


def test_what_is_not_foreseen_is_a_sentence():
    done = ended(["-c", TOOL, "a"])
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("x.py: ") and "TypeError: no ['a']" in line
    assert "--traceback shows where" in line


def test_a_traceback_is_shown_where_it_is_asked_for():
    done = ended(["-c", TOOL, "--traceback"])
    first, *_, last = done.stderr.splitlines()
    assert done.returncode == 1 and first.startswith("Traceback") and last.startswith("x.py: ")


@pytest.mark.parametrize(
    "tool, flag",
    [
        ("kill_test.py", "--kills=0"),
        ("devices.py", "--batch_size=7"),
        ("devices.py", "--way=one"),
        ("benchmark.py", "--repeats=0"),
        ("launch.py", "--workers=0"),
        ("reproduce.py", "--scale=cpus"),
    ],
)
@pytest.mark.quick_rows(3)
def test_every_tool_refuses_a_wrong_flag_with_code_2_and_knows_traceback(tool, flag):
    done = ended([f"tools/{tool}", flag])
    assert done.returncode == 2 and done.stderr.startswith(f"{tool}: ")
    assert len(done.stderr.splitlines()) == 1
    assert "'traceback'" not in ended([f"tools/{tool}", flag, "--traceback"]).stderr


def test_a_flag_that_is_misspelt_is_told_its_neighbour_among_the_tool_s_own():
    done = ended(["tools/kill_test.py", "--kils=1"])
    assert done.returncode == 2 and "did you mean '--kills'?" in done.stderr
    assert "--traceback" in done.stderr and "--logtostderr" not in done.stderr
