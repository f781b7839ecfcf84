"""Progress is shown on a terminal and in a file."""

import io

import pytest
from rich.console import Console

from tf_bdecay.terminal.display import Display

pytestmark = pytest.mark.any_backend


def work(terminal, **arguments):
    """Two of three steps of known length, and one of unknown length; what was written."""
    page = io.StringIO()
    console = Console(file=page, force_terminal=terminal, width=100)
    with Display(console, **arguments) as shown:
        assert shown.live == terminal
        shown.begin("first", total=3)
        for done in (1, 2):
            if shown.due or terminal:
                shown.show(f"step {done} [of] 3", done, 3)
        shown.say("between")
        shown.begin("second")
        shown.finish("all is done")
    assert not shown.live
    return page.getvalue()


def test_a_file_gets_plain_lines_letter_by_letter():
    said = work(terminal=False, line_seconds=0.0).splitlines()
    assert said == ["step 1 [of] 3", "step 2 [of] 3", "between", "all is done"]


def test_lines_come_no_more_often_than_asked_for():
    assert work(terminal=False, line_seconds=60.0).splitlines() == ["between", "all is done"]


def test_a_terminal_gets_bars_and_is_given_back():
    page = work(terminal=True)
    for part in ("step 2 ", "between", "all is done"):
        assert part in page
    assert page.rindex("\x1b[?25h") > page.rindex("\x1b[?25l")  # the cursor is shown again


def test_a_failure_gives_the_terminal_back():
    page = io.StringIO()
    shown = Display(Console(file=page, force_terminal=True))
    with pytest.raises(OSError, match="disk"), shown:
        shown.begin("first")
        raise OSError("disk")
    assert not shown.live and page.getvalue().endswith("\x1b[?25h")
