"""Saves checkpoints in the background, one at a time, and says what becomes of a failed one."""

from concurrent.futures import ThreadPoolExecutor

from tf_bdecay.storage import shelf


class NoSaver:
    """What a worker has that writes nothing: the calls of a `Saver`, which do nothing."""

    def save(self, arrays, meta, best=False, flush=()):
        """Nothing."""

    def guarded(self, *functions):
        """Nothing, which never fails."""
        return True

    def poll(self):
        """Nothing."""

    wait = close = poll


class Saver:
    """Writes checkpoints in a thread: values are on the host by then, and training goes on.

    Args:
        folder: of the checkpoints.
        keep: how many are kept besides the best.
        on_error: what a failure to write does: "stop" raises it, "continue" warns.
        warn: called with a sentence for each failure, with "continue".
    """

    def __init__(self, folder, keep, on_error="stop", warn=print):
        self.folder, self.keep, self.on_error, self.warn = folder, keep, on_error, warn
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._running = None

    def save(self, arrays, meta, best=False, flush=()):
        """Starts to write a checkpoint, when the one before it is written.

        Args:
            arrays: dict of label to array, that nothing changes any more.
            meta: dict of JSON values, with "update".
            best: whether it is the best so far.
            flush: functions that bring to the disk what belongs before the checkpoint. Where one
                fails there is no checkpoint.
        """
        self.wait()
        if self.guarded(*flush):
            self._running = self._pool.submit(shelf.put, self.folder, arrays, meta, self.keep, best)

    def poll(self):
        """Tells of a failure as soon as it is known, without waiting."""
        if self._running and self._running.done():
            self.wait()

    def wait(self):
        """Waits until the checkpoint counts as done, or has failed."""
        running, self._running = self._running, None
        if running:
            self.guarded(running.result)

    def guarded(self, *functions):
        """Calls functions that write files, by the rule for failures.

        Returns:
            Whether all could write.
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
        """Waits for the last checkpoint; to be called however the run ends."""
        try:
            self.wait()
        finally:
            self._pool.shutdown()
