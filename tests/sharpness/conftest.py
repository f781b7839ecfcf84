"""The precision in which measures are compared with dense matrices."""

import keras
import pytest


@pytest.fixture
def double():
    keras.config.set_dtype_policy("float64")
