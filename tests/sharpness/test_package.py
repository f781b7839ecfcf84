"""The package's names, and what of it works without TensorFlow."""

import pkgutil

import keras
import pytest

import tf_bdecay
from tests.processes import ended
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def test_formulas_need_no_tensorflow():
    """The package loads, and its formulas work, where TensorFlow cannot be imported at all."""
    program = """
import sys
class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ImportError("no tensorflow here")
sys.meta_path.insert(0, NoTensorFlow())
import numpy as np
import tf_bdecay.callbacks
from tf_bdecay import sharpness
print(float(sharpness.bias_ratio(np.ones(1), np.full(1, 4.0))[0]))
"""
    pytest.importorskip("jax")
    done = ended(["-c", program], KERAS_BACKEND="jax")
    assert done.stdout.strip() == "0.25", done.stderr


@pytest.mark.parametrize("name", ["connectivity", "loss_gradients_and_sensitivity"])
def test_measuring_asks_for_tensorflow(name):
    if keras.backend.backend() == "tensorflow":
        assert callable(getattr(tf_bdecay.sharpness, name))
        return
    with pytest.raises(BadInput, match="set KERAS_BACKEND=tensorflow .*Received: KERAS_BACKEND="):
        getattr(tf_bdecay.sharpness, name)


def test_a_notebook_completes_the_public_names():
    public = set(tf_bdecay.sharpness.__all__)
    assert public and public <= set(dir(tf_bdecay.sharpness))


def test_no_module_is_called_as_a_public_name():
    """Importing it would put the module in the name's place."""
    modules = {m.name for m in pkgutil.iter_modules(tf_bdecay.sharpness.__path__)}
    assert "registry" in modules and not modules & set(tf_bdecay.sharpness.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'conectivity'"):
        _ = tf_bdecay.sharpness.conectivity
