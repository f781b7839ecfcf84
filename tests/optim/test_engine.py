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
