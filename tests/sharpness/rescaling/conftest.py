"""The precision in which a network is compared with a rescaled one."""

import keras
import pytest


@pytest.fixture
def double_inputs():
    """Double precision, of inputs too, as a nested model casts to its input's type."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
