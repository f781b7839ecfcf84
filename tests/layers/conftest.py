"""Sets double precision for tests that compare with a float64 reference."""

import contextlib

import keras
import pytest


@pytest.fixture
def float64():
    """Lets JAX, which otherwise narrows to float32, compute in float64; TensorFlow does anyway."""
    context = contextlib.nullcontext()
    if keras.backend.backend() == "jax":
        import jax

        context = jax.enable_x64(True)
    with context:
        yield
