"""Writes checkpoints while training goes on."""

from concurrent.futures import ThreadPoolExecutor

from tf_bdecay.storage import checkpoints


class Saver:
    """Writes checkpoints in a thread, one at a time, while training goes on.

    Args:
        folder: of the checkpoints; None on a worker that writes nothing.
        keep: how many are kept besides the best.
        on_error: what a failure to write does: "stop" raises it, "continue" warns.
        warn: called with a sentence for each failure if `on_error` is "continue".

    Attributes:
        best: `meta` of the last checkpoint that was written as the best; None before there is one.
    """

    def __init__(self, folder, keep=1, on_error="stop", warn=print):
        self.folder, self.keep, self.on_error, self.warn = folder, keep, on_error, warn
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._running, self.best = None, None

    def save(self, arrays, meta, best=False, flush=()):
        """Starts to write a checkpoint as soon as the one before it is written.

        Args:
            arrays: dict of label to array; nothing may change them any more.
            meta: dict of JSON values, with "update".
            best: whether it is the best so far.
            flush: functions that write to the disk what must be there before the checkpoint. If one
                fails, no checkpoint is written.
        """
        self.wait()
        if self.guarded(*flush):
            arguments = (self.folder, arrays, meta, self.keep, best)
            written = self._pool.submit(checkpoints.save, *arguments)
            self._running = written, meta if best else self.best

    def poll(self):
        """Reports a failure as soon as it is known, without waiting."""
        if self._running and self._running[0].done():
            self.wait()

    def wait(self):
        """Waits until the checkpoint is on the disk, or has failed."""
        running, self._running = self._running, None
        if running and self.guarded(running[0].result):
            self.best = running[1]

    def guarded(self, *functions):
        """Calls functions that write files, and handles their failures as `on_error` says.

        Returns:
            Whether all succeeded.
        """
        try:
            for function in functions:
                function()
        except OSError as error:
            if self.on_error == "stop":
                raise
            self.warn(f"Warning: not saved, and training goes on: {error}.")
            return False
        return True

    def close(self):
        """Waits for the last checkpoint; must be called however the run ends."""
        try:
            self.wait()
        finally:
            self._pool.shutdown()
