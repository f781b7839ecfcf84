"""An exported network gives the model's probabilities from pixels, without this library."""

import dataclasses
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage.files import write_json
from tf_bdecay.training.export import export

CLASSES = [*"abcdefghi", os.fsdecode(b"caf\xe9")]  # the last is no UTF-8


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """Of a run whose pictures were of the classes a to j, with others to try it on."""
    made, path, _ = finished
    folder = tmp_path_factory.mktemp("exports") / "new" / "served"
    run = tmp_path_factory.mktemp("run")
    shutil.copy(path / "model.keras", run)
    write_json(run / "config.json", {"data.name": "pictures"})
    write_json(run / "pictures.json", {"classes": CLASSES})
    images = dataclasses.replace(made.images, classes=tuple("klmnopqrst"))
    difference = export(run / "model.keras", images, folder)
    return folder, difference


def test_it_gives_the_probabilities_of_the_model_for_pixels(finished, exported, tmp_path):
    """In a process that has TensorFlow alone, against NumPy's own preprocessing here."""
    made, path, _ = finished
    folder, difference = exported
    assert 0 <= difference < 1e-5
    pixels = made.images.test.images[:50]
    np.save(tmp_path / "x.npy", pixels)
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "x = np.load(sys.argv[2])\n"
        "served = tf.saved_model.load(sys.argv[1])\n"
        "y = served.serve(tf.constant(x))\n"
        "assert not any(name.startswith('tf_bdecay') for name in sys.modules)\n"
        "np.save(sys.argv[2], y.numpy())\n"
    )
    arguments = [sys.executable, "-c", program, str(folder), str(tmp_path / "x.npy")]
    subprocess.run(arguments, check=True, timeout=300)
    found = np.load(tmp_path / "x.npy")
    model = keras.models.load_model(path / "model.keras", compile=False)
    x = (pixels / 255 - np.array(made.images.mean)) / np.array(made.images.deviation)
    logits = np.asarray(model(x.astype("float32"), training=False), "float64")
    expected = np.exp(logits - logits.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_names_of_the_runs_classes_are_beside_it_and_nothing_else(exported):
    folder, _ = exported
    lines = (folder / "assets.extra" / "classes.txt").read_bytes().split()
    assert list(map(os.fsdecode, lines)) == CLASSES
    assert [p.name for p in folder.parent.iterdir()] == ["served"]


def test_a_folder_with_something_in_it_is_left_alone(finished, tmp_path):
    made, path, _ = finished
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(BadInput, match="must be a new or empty folder"):
            export(path / "model.keras", made.images, place)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
