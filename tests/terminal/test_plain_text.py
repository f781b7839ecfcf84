"""Tables and times as plain text, beside the lines that are wanted."""

import builtins

import pytest
import rich.console
from rich.table import Table

from tf_bdecay.terminal.plain_text import clock, plain_console, rendered

pytestmark = pytest.mark.any_backend


def table():
    made = Table("layer", "C", title="sharpness")
    made.add_row("conv", "0.25")
    return made


def test_lines_have_no_colour_and_no_spaces_at_their_ends():
    lines = rendered("before", table(), width=40).splitlines()
    assert lines[0] == "before" and any("conv" in line and "0.25" in line for line in lines)
    assert all(line == line.rstrip() and "\x1b" not in line for line in lines)
    assert max(map(len, rendered("a " * 90, width=40).splitlines())) <= 40


def test_names_are_printed_letter_by_letter(capsys):
    names = ["sweep[lr=1]", "[a-z]+/kernel=2", "block[conv]", "[/b]", "cifar:x:2"]
    made = Table(*names, title="[/t]")
    made.add_row(*names)
    plain_console(width=120).print(*names, made)
    for page in (rendered(*names, made, width=120), capsys.readouterr().out):
        assert [page.count(name) for name in (*names, "[/t]")] == [3] * len(names) + [1]


@pytest.mark.parametrize(
    "seconds, said",
    [(0.4, "0:00"), (59.6, "1:00"), (754, "12:34"), (3599.7, "1:00:00"), (90061, "25:01:01")],
)
def test_a_time_is_rounded_before_it_is_cut_into_hours(seconds, said):
    assert clock(seconds) == said


def test_a_notebook_gets_the_same_text(monkeypatch):
    expected = rendered(table(), width=40)

    class ZMQInteractiveShell:  # by whose name rich knows a notebook
        pass

    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    assert rich.console._is_jupyter()
    assert rendered(table(), width=40) == expected
