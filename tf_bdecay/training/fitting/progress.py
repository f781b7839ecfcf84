"""What a user sees during training: one live line on a terminal, plain lines elsewhere."""

import time

from tf_bdecay.optim.base import unwrapped
from tf_bdecay.terminal.display import Display
from tf_bdecay.training.fitting.counts_updates import CountsUpdates

LINE_SECONDS = 2.0  # between plain lines


class Speed:
    """Images per second over an epoch, without the very first update, which traces and compiles.

    Args:
        batch_size: images per update.
    """

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.images_per_second = 0.0
        self._started = None
        self._not_timed = 0

    def begin_epoch(self):
        """Starts the clock; in the first epoch `count` does that after the first update."""
        if self._started is not None:
            self._started, self._not_timed = time.perf_counter(), 0

    def count(self, updates):
        """Takes the number of updates of the epoch that are done."""
        now = time.perf_counter()
        if self._started is None:
            self._started, self._not_timed = now, updates
        elif now > self._started:
            timed = (updates - self._not_timed) * self.batch_size
            self.images_per_second = timed / (now - self._started)


class ProgressLine(CountsUpdates):
    """Shows updates, images/s, loss, accuracy, how many layers decay, and the time left.

    It looks at the device at most five times a second.

    Args:
        updates_per_epoch, epochs, batch_size: of the run.
        console: a `rich.console.Console`; a terminal gets a bar, anything else plain lines.
        after: the number of updates from which this run resumes.
    """

    def __init__(self, updates_per_epoch, epochs, batch_size, console=None, after=0):
        super().__init__(updates_per_epoch, after)
        self.epochs = epochs
        self.total = updates_per_epoch * epochs
        self.display = Display(console, LINE_SECONDS)
        self.speed = Speed(batch_size)
        self._evaluated = ""

    def on_train_begin(self, logs=None):
        self.display.open()
        self.display.begin("first update: tracing, compiling", self.total, self.done)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self.speed.begin_epoch()

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self.speed.count(batch + 1)
        if self.display.live and self.display.due:
            self._show(logs)

    def on_epoch_end(self, epoch, logs=None):
        if "val_accuracy" in (logs or {}):
            self._evaluated = f", evaluated {logs['val_accuracy']:.4f}"
        if self.display.live:
            self._show(logs)
        elif self.display.due or epoch + 1 == self.epochs:
            line = f"epoch {epoch + 1}/{self.epochs}, {self._line(logs)}"
            self.display.show(line, self.done, self.total)

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Releases the terminal, however the run ends."""
        self.display.close()

    def _show(self, logs):
        self.display.show(self._line(logs), self.done, self.total)

    def _line(self, logs):
        nothing = float("nan")
        loss, accuracy = (float((logs or {}).get(k, nothing)) for k in ("loss", "accuracy"))
        return (
            f"update {self.done}/{self.total}, {self.speed.images_per_second:,.0f} images/s, "
            f"loss {loss:.4f}, accuracy {accuracy:.4f}{self._evaluated}"
            f"{decay_line(unwrapped(self.model.optimizer))}"
        )


def decay_line(optimizer):
    """ ", beta decay on in 12 of 20 layers", or nothing where no policy switches."""
    if not optimizer.weight_decay.adaptive:
        return ""
    on = optimizer.decay_on.numpy()
    return f", beta decay on in {int(on.sum())} of {len(on)} layers"
