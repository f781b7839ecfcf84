"""The session of a measure on the command line: a bar, and partial results in a file."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tf_bdecay.sharpness.session import Session

LINE_SECONDS = 5.0  # between plain lines
KEEP_SECONDS = 30.0  # between partial results: a process that is killed loses no more


class Display:
    """Shows how far a measure is: a bar on a terminal, plain lines elsewhere.

    Args:
        console: a `rich.console.Console`; stdout by default.
    """

    def __init__(self, console=None):
        self.console = console or Console()
        self._bar = None

    def __enter__(self):
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description:10}"),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._bar.start()
        return self

    def __exit__(self, *error):
        if self._bar:
            self._bar.stop()

    def begin(self, name):
        """Begins a measure."""
        self._name, self._began, self._first, self._shown = name, time.monotonic(), None, 0.0
        if self._bar:
            self._task = self._bar.add_task(name, total=None, count="tracing, compiling")

    def show(self, done, total):
        """Shows that so many steps are done; of how many, or None."""
        count = f"{done} of {total}" if total else f"{done} products"
        if self._bar:
            self._bar.update(self._task, completed=done, total=total, count=count)
            return
        now = time.monotonic()
        if self._first is None:  # what a resumed measure had before took no time now
            self._first = (done, now)
        if now - self._shown >= LINE_SECONDS and now - self._began >= LINE_SECONDS:
            self._shown = now
            self.say(f"{self._name}: {count}{self._left(done, total, now)}")

    def end(self, seconds):
        """Ends the measure."""
        if self._bar:
            task = self._bar.tasks[self._task]
            total = task.total or task.completed or 1
            self._bar.update(self._task, total=total, completed=total)
        else:
            self.say(f"{self._name}: done in {_clock(seconds)}")

    def say(self, line):
        """Prints a line, above the bar where there is one."""
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def _left(self, done, total, now):
        first, then = self._first
        if not total or done <= first:
            return ""
        return f", {_clock((now - then) / (done - first) * (total - done))} left"


class Keeping(Session):
    """Shows progress, and keeps partial results now and then, and when it is asked to.

    Args:
        folder: a `Folder`, opened.
        name: of the measure.
        display: a `Display`.
    """

    def __init__(self, folder, name, display):
        self.folder, self.name, self.display = folder, name, display
        self._kept = folder.state(name) or {}
        self._before = float(self._kept.pop("seconds", 0.0))
        self._began = self._written = time.monotonic()
        self._latest = {}

    @property
    def resumed(self):
        """Whether there is a partial result to go on from."""
        return bool(self._kept)

    @property
    def seconds(self):
        """What the measure took so far, earlier starts included."""
        return self._before + time.monotonic() - self._began

    def progress(self, done, total):
        self.display.show(done, total)

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
        """Writes the latest partial results, where there are any."""
        self._written = time.monotonic()
        arrays = {
            f"{key}/{name}": array
            for key, state in self._latest.items()
            for name, array in state().items()
        }
        if arrays:
            self.folder.keep_state(self.name, {**arrays, "seconds": self.seconds})


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
