"""A session that stops a measure, and what must hold when the measure continues."""

import pytest

from tests.sharpness.networks import crossentropy, dense, examples_for
from tf_bdecay.sharpness.session import Session


class Interrupted(Session):
    """Keeps states in memory, and stops after so many steps."""

    def __init__(self, stop_after):
        self.left, self.states = stop_after, {}

    def restore(self, key):
        return self.states.get(key)

    def keep(self, key, state):
        self.states[key] = state()

    def progress(self, done, total):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def goes_on(measure, stop):
    """Asserts that a measure stopped after so many steps ends as one that was not."""
    model = dense()
    data = examples_for(model)
    session = Interrupted(stop)
    with pytest.raises(KeyboardInterrupt):
        measure(model, crossentropy, data, session=session)
    assert session.states
    resumed = measure(model, crossentropy, data, session=session)
    assert resumed.to_dict() == measure(model, crossentropy, data).to_dict()
