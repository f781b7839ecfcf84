"""Models that were saved are loaded, in a new process too, or named in a sentence."""

import keras
import numpy as np
import pytest

from tests.processes import ended
from tf_bdecay import layers
from tf_bdecay.errors import BadInput
from tf_bdecay.training.building import saved

FRESH = """
import sys
from tf_bdecay.training.building import saved
print(saved.load(sys.argv[1]).count_params())
"""


def ghost_network():
    inputs = keras.Input((4, 4, 2))
    outputs = layers.GhostBatchNormalization(2, name="norm")(inputs)
    return keras.Model(inputs, keras.layers.Flatten()(outputs))


@pytest.mark.slow
def test_in_a_process_that_has_imported_nothing_our_classes_are_known(tmp_path):
    model = ghost_network()
    model.save(tmp_path / "model.keras")
    command = ["-c", FRESH, str(tmp_path / "model.keras")]
    done = ended(command)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) == model.count_params()


def test_weights_come_back_and_no_optimizer(tmp_path):
    model = ghost_network()
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    found = saved.load(tmp_path / "model.keras")
    assert not found.compiled
    for a, b in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_cannot_be_loaded_is_a_sentence(tmp_path):
    path = tmp_path / "model.keras"
    for content in (b"text", b""):
        path.write_bytes(content)
        with pytest.raises(BadInput, match="cannot be loaded: it is empty, cut short or"):
            saved.load(path)


def test_a_class_that_nobody_registered_is_named(tmp_path):
    class Own(keras.layers.Layer):
        pass

    keras.Sequential([keras.Input((2,)), Own()]).save(tmp_path / "model.keras")
    with pytest.raises(BadInput, match="has 'Own', which .* in a module, or else.$"):
        saved.load(tmp_path / "model.keras", unknown=", or else")
