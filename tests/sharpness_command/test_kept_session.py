"""A measure's progress is restored, and a signal stops the measure between steps."""

import io
import signal

import numpy as np
import pytest
from rich.console import Console

from tf_bdecay.sharpness_command.folder import Folder
from tf_bdecay.sharpness_command.kept_session import KeptSession
from tf_bdecay.terminal import signals
from tf_bdecay.terminal.display import Display


@pytest.fixture
def session_of(tmp_path):
    """A session in one folder, as a process would begin it; and where it prints."""
    folder, stop, page = Folder(tmp_path / "out", {}), signals.Request(), io.StringIO()
    with folder.open(), Display(Console(file=page), 0.0) as display:
        yield lambda: KeptSession(folder, "trace", display, stop), stop, page


def test_what_was_flushed_comes_back_under_its_key(session_of):
    make, _, _ = session_of
    first = make()
    assert not first.resumed and first.restore("probes") is None
    first.keep("probes", lambda: {"sum": np.arange(3.0)})
    first.keep("chunks", lambda: {"sum": np.ones(2)})
    first.flush()
    again = make()
    assert again.resumed and again.seconds >= 0
    np.testing.assert_array_equal(again.restore("probes")["sum"], np.arange(3.0))
    np.testing.assert_array_equal(again.restore("chunks")["sum"], np.ones(2))
    assert again.restore("other") is None


def test_nothing_is_written_before_it_is_due(session_of):
    make, _, _ = session_of
    make().keep("probes", lambda: pytest.fail("a state was asked for at once"))
    assert not make().resumed


def test_a_step_is_shown_and_a_signal_stops_after_it(session_of):
    make, stop, page = session_of
    session = make()
    session.progress(1, 4)
    session.progress(2, 4)
    assert "trace: 2 of 4" in page.getvalue() and "left" in page.getvalue()
    stop.number = signal.SIGTERM
    with pytest.raises(signals.Stopped):
        session.progress(3, 4)
