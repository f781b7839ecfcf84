"""Shows the progress of a measure and keeps partial results, so that it can be resumed."""

import time

from tf_bdecay.sharpness.session import Session
from tf_bdecay.terminal.plain_text import clock

KEEP_SECONDS = 30.0  # between partial results: the most that a killed process loses


class KeptSession(Session):
    """Shows progress, and keeps partial results now and then and on request.

    Args:
        folder: a `Folder`, opened.
        name: the name of the measure.
        display: a `Display`.
        stop: a `signals.Request`.
    """

    def __init__(self, folder, name, display, stop):
        self.folder, self.name, self.display, self._stop = folder, name, display, stop
        self._kept = folder.state(name) or {}
        self._before = float(self._kept.pop("seconds", 0.0))
        self._began = self._written = time.monotonic()
        self._first = None  # (steps done, time) at the first step of this start
        self._latest = {}

    def begin(self):
        """Shows that the measure begins."""
        self.display.begin(f"{self.name}: tracing, compiling")

    def end(self):
        """Shows that the measure is done."""
        self.display.finish(f"{self.name}: done in {clock(self.seconds)}")

    @property
    def resumed(self):
        """Whether there is a partial result to resume from."""
        return bool(self._kept)

    @property
    def seconds(self):
        """How long the measure has taken so far, earlier starts included."""
        return self._before + time.monotonic() - self._began

    def progress(self, done, total):
        now = time.monotonic()
        if self._first is None:  # the steps of earlier starts took no time in this one
            self._first = done, now
        if self.display.due:
            count = f"{done} of {total}" if total else f"{done} products"
            left = "" if self.display.live else self._left(done, total, now)
            self.display.show(f"{self.name}: {count}{left}", done, total)
        self._stop.check()

    def restore(self, key):
        found = {
            name.removeprefix(f"{key}/"): array
            for name, array in self._kept.items()
            if name.startswith(f"{key}/")
        }
        return found or None

    def keep(self, key, state):
        self._latest = {**self._latest, key: state}
        if time.monotonic() - self._written >= KEEP_SECONDS:
            self.flush()

    def flush(self):
        """Writes the latest partial results, if there are any."""
        self._written = time.monotonic()
        arrays = {
            f"{key}/{name}": array
            for key, state in self._latest.items()
            for name, array in state().items()
        }
        if arrays:
            self.folder.keep_state(self.name, {**arrays, "seconds": self.seconds})

    def _left(self, done, total, now):
        first, then = self._first
        if not total or done <= first:
            return ""
        return f", {clock((now - then) / (done - first) * (total - done))} left"
