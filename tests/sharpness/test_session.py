"""What every measurement asks of its session; a silent session is enough."""

import keras
import numpy as np
import pytest

from tests.sharpness.networks import dense, examples_for
from tf_bdecay.sharpness import registry
from tf_bdecay.sharpness.session import SILENT, Session

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
FAST = dict(probes=3, steps=3, spectrum_probes=2, batch_size=4, examples_at_once=4)


class Remembers(Session):
    """Keeps all that it is told, and restores nothing."""

    def __init__(self):
        self.steps, self.states, self.asked = [], [], []

    def progress(self, done, total):
        self.steps.append((done, total))

    def restore(self, key):
        self.asked.append(key)

    def keep(self, key, state):
        self.states.append((key, state()))


def test_a_silent_one_keeps_nothing_and_asks_for_no_state():
    def state():
        raise AssertionError("nobody wanted it")

    SILENT.progress(1, None)
    SILENT.keep("key", state)
    assert SILENT.restore("key") is None


@pytest.mark.parametrize("name", registry.MEASURES)
@pytest.mark.quick_rows(2)
def test_progress_goes_up_to_its_total_and_states_are_of_arrays(name):
    model = dense()
    data = examples_for(model)
    session = Remembers()
    found = registry.MEASURES[name].run(model, LOSS, data, FAST, session)
    plain = registry.MEASURES[name].run(model, LOSS, data, FAST)
    np.testing.assert_array_equal(found.shares, plain.shares)  # whoever listens
    done = [d for d, _ in session.steps]
    assert done and all(total is None or d <= total for d, total in session.steps)
    assert all(a < b or b <= 1 for a, b in zip(done, done[1:], strict=False))
    for key, state in session.states:
        assert key in session.asked  # what is kept is what was asked for
        assert all(np.asarray(value).dtype != object for value in state.values())
    assert session.states or name == "eigenvalue"  # which keeps none of so few products
