"""Within the scope, a forward pass assigns nothing and tells what it would assign."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training import small
from tf_bdecay.errors import BadInput
from tf_bdecay.training.step.assignments import Assignments


def test_new_values_are_kept_and_nothing_is_assigned():
    model = small.network()
    state = model.non_trainable_variables
    before = small.values(state)
    with Assignments(model.trainable_variables, state, ()) as scope:
        model(small.digits(32)[0], training=True)
    kept = [scope.value_of(v) for v in state]
    for old, variable in zip(before, state, strict=True):
        np.testing.assert_array_equal(old, variable)
    assert scope.assigned == {id(v) for v in state}
    model(small.digits(32)[0], training=True)
    for new, variable in zip(kept, state, strict=True):
        np.testing.assert_allclose(new, variable, rtol=1e-6)


def test_chained_variables_begin_with_the_values_given():
    counter = keras.Variable(5, dtype="int32", trainable=False)
    with Assignments([], [], [(counter, tf.constant(7))]) as scope:
        assert int(scope.value_of(counter)) == 7
        counter.assign_add(1)
    assert int(scope.value_of(counter)) == 8 and int(counter) == 5


@pytest.mark.parametrize("steps", [None, [None], [tf.constant([0.5, -1.0])]])
def test_the_gradient_at_a_step_away_is_taken_by_theta(steps):
    theta = keras.Variable([1.0, 2.0])
    with Assignments([theta], [], ()) as scope, tf.GradientTape() as tape:
        with scope.moved(steps):
            loss = keras.ops.sum(theta**3)
        after = scope.value_of(theta)
    at = np.array([1.0, 2.0]) + (0 if steps in (None, [None]) else steps[0].numpy())
    np.testing.assert_allclose(tape.gradient(loss, theta.value), 3 * at**2, rtol=1e-6)
    np.testing.assert_array_equal(after, [1.0, 2.0])


def test_what_is_no_state_of_the_model_cannot_be_assigned():
    foreign = keras.Variable(0.0, trainable=False, name="calls")
    refused = pytest.raises(BadInput, match="assigns '.*calls', which micro-batches")
    with refused, Assignments([], [], ()):
        foreign.assign(1.0)
