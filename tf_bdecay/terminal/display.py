"""Shows progress: one live line on a terminal, plain lines elsewhere."""

import time

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tf_bdecay.terminal.plain_text import plain_console

REFRESH_SECONDS = 0.2


class Display:
    """A live bar on a terminal, plain lines elsewhere; a context manager, or `open` and `close`.

    Args:
        console: a `rich.console.Console`; stdout by default.
        line_seconds: the least time between plain lines.
    """

    def __init__(self, console=None, line_seconds=2.0):
        self.console = console or plain_console()
        self.line_seconds = line_seconds
        self._bar = None
        self._shown = 0.0

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *error):
        self.close()

    @property
    def live(self):
        """Whether a bar is shown."""
        return self._bar is not None

    @property
    def due(self):
        """Whether enough time has passed since something was shown."""
        seconds = REFRESH_SECONDS if self.live else self.line_seconds
        return time.monotonic() - self._shown >= seconds

    def open(self):
        """Starts the live bar if the console is a terminal."""
        if self.console.is_terminal:
            self._bar = Progress(
                BarColumn(bar_width=20),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
                refresh_per_second=1 / REFRESH_SECONDS,
            )
            self._bar.start()

    def close(self):
        """Leaves the bar as it is and releases the terminal, however the work ends."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def begin(self, text, total=None, done=0):
        """Begins a bar, below the one before; `total` is None if it is not known."""
        self._shown = time.monotonic()
        if self._bar:
            self._task = self._bar.add_task(text, total=total, completed=done)

    def show(self, text, done, total=None):
        """Moves the bar and writes the text beside it, or prints the text as a line."""
        self._shown = time.monotonic()
        if self._bar:
            self._bar.update(self._task, completed=done, total=total, description=text)
        else:
            self.say(text)

    def finish(self, text):
        """Fills the bar, or prints the text."""
        if self._bar:
            task = self._bar.tasks[self._task]
            done = task.total or task.completed or 1
            self._bar.update(self._task, completed=done, total=done, description=text)
        else:
            self.say(text)

    def say(self, line):
        """Prints a line, above the bar if there is one."""
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)
