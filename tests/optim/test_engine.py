"""What the engines share: constraints hold after every update."""

import keras
import numpy as np
import pytest

import tf_bdecay
from tf_bdecay import decay

pytestmark = pytest.mark.any_backend


def test_constraints_hold_after_every_update():
    variable = keras.Variable(np.ones((3, 2), "float32"), name="kernel")
    variable.constraint = keras.constraints.UnitNorm(axis=0)
    optimizer = tf_bdecay.Lamb(0.1, decay.NoDecay(), compile_update=False)
    optimizer.apply([keras.ops.ones((3, 2)) * 0.3], [variable])
    np.testing.assert_allclose(np.linalg.norm(variable.numpy(), axis=0), 1, rtol=1e-5)


def test_a_constraint_leaves_a_variable_without_a_gradient_as_it_is():
    bound, free = (keras.Variable(-np.ones((2, 3), "float32"), name=name) for name in "ab")
    bound.constraint = keras.constraints.NonNeg()
    optimizer = tf_bdecay.SGD(0.1)
    optimizer.build([bound, free])
    for gradients in ([None, keras.ops.ones((2, 3))], [keras.ops.ones((2, 3)), None]):
        before = [keras.ops.convert_to_numpy(v) for v in (bound, free)]
        optimizer.apply(gradients, [bound, free])
        for variable, old, gradient in zip((bound, free), before, gradients, strict=True):
            moved = not np.array_equal(keras.ops.convert_to_numpy(variable), old)
            assert moved == (gradient is not None)
    assert keras.ops.convert_to_numpy(bound).min() >= 0
