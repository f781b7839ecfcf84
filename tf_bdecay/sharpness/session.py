"""How a long measurement reports its progress and keeps partial results to resume from."""


class Session:
    """The session of a plain call: it reports nothing and keeps nothing.

    The command line's session draws a progress bar and keeps partial results in a file. A state is
    a dict of names to NumPy arrays.
    """

    def progress(self, done, total):
        """Called after each step of work.

        Args:
            done: number of steps done.
            total: number of all steps; None if unknown.
        """

    def restore(self, key):
        """The last state kept under a key, or None."""
        return None

    def keep(self, key, state):
        """Keeps a state, from which an interrupted measurement can resume.

        Args:
            key: a word that identifies the measurement.
            state: function without arguments that returns the state; called only if it is wanted.
        """


class TrialOver(Exception):
    """Raised when the first step of a trial is done."""


class Trial(Session):
    """A session that ends the measurement after its first step, by raising `TrialOver`."""

    def progress(self, done, total):
        raise TrialOver


SILENT = Session()
