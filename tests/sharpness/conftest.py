import keras
import pytest


@pytest.fixture
def double():
    keras.config.set_dtype_policy("float64")
