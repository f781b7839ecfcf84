"""The progress that a person sees: plain lines in a file, one live line on a terminal."""

import io
import types

import pytest
from rich.console import Console

import tf_bdecay
from tests.training.small import digits, trainer
from tf_bdecay.terminal import display
from tf_bdecay.training.fitting import progress
from tf_bdecay.training.fitting.progress import ProgressLine, Speed


def watch(terminal, policy=None, epochs=3):
    page = io.StringIO()
    console = Console(file=page, force_terminal=terminal, width=160)
    made = trainer(tf_bdecay.Lamb(0.01, weight_decay=policy or "default"))
    x, y = digits()
    made.fit(
        x, y, batch_size=64, epochs=epochs, verbose=0, validation_data=(x, y),
        callbacks=[ProgressLine(4, epochs, 64, console)],
    )  # fmt: skip
    return page.getvalue()


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(display, "REFRESH_SECONDS", 0.001)


def test_plain_lines_where_it_is_not_a_terminal():
    lines = watch(terminal=False).splitlines()
    assert len(lines) == 3
    assert lines[-1].startswith("epoch 3/3, update 12/12, ")
    for part in ("images/s", "loss ", "accuracy ", "evaluated ", " of 2 layers"):
        assert part in lines[-1]
    assert "\x1b" not in lines[-1]


def test_one_live_line_on_a_terminal():
    page = watch(terminal=True)
    assert "update 12/12" in page
    assert "beta decay on in" in page


def test_a_policy_that_does_not_switch_says_nothing_of_switching():
    assert "decay on" not in watch(False, tf_bdecay.decay.NoBiasDecay(0.01))


def test_speed_leaves_out_the_first_update(monkeypatch):
    clock = iter([10.0, 11.0, 12.0, 20.0, 24.0])
    own = types.SimpleNamespace(perf_counter=lambda: next(clock))  # pytest has a clock, too
    monkeypatch.setattr(progress, "time", own)
    speed = Speed(batch_size=100)
    speed.begin_epoch()  # no clock yet: the first update compiles
    speed.count(1)  # at 10 s
    assert speed.images_per_second == 0
    speed.count(2)  # at 11 s: 100 images in 1 s
    assert speed.images_per_second == pytest.approx(100)
    speed.count(5)  # at 12 s: 400 images in 2 s
    assert speed.images_per_second == pytest.approx(200)
    speed.begin_epoch()  # at 20 s
    speed.count(2)  # at 24 s
    assert speed.images_per_second == pytest.approx(50)
