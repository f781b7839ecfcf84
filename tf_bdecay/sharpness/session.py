"""What a long measurement tells while it runs, and the partial results it can go on from."""


class Session:
    """The session of a plain call: it tells nobody and keeps nothing.

    The command line's session draws a bar and keeps partial results in a file. A state is a dict of
    names to NumPy arrays.
    """

    def progress(self, done, total):
        """Called after each step of work.

        Args:
            done: steps done.
            total: of how many; None where that is not known.
        """

    def restore(self, key):
        """The state kept last under a key, or None."""
        return None

    def keep(self, key, state):
        """Takes a state, with which a measurement that was cut off can go on.

        Args:
            key: a word.
            state: function without arguments that gives the state, called only if it is wanted.
        """


class TrialOver(Exception):
    """The first step of a trial is done."""


class Trial(Session):
    """The session of a measurement that ends with its first step, by `TrialOver`."""

    def progress(self, done, total):
        raise TrialOver


SILENT = Session()
