"""Exports a trained network for serving: a SavedModel from pixels to probabilities."""

import os
import pathlib
import shutil

import keras
import numpy as np

from tf_bdecay import data
from tf_bdecay.data.augment import standardise
from tf_bdecay.storage import paths
from tf_bdecay.training.building import saved
from tf_bdecay.training.run_folder import pictures_record

TRIED = 32  # pictures on which the exported network is compared with the original
TOLERANCE, HALF_TOLERANCE = 1e-5, 2e-2  # of probabilities, in single and half precision


def export(file, images, path):
    """Writes a saved network as a SavedModel that includes its preprocessing, and checks it.

    The only endpoint, `serve`, takes uint8 images [n, height, width, channels], for any n, and
    returns float32 probabilities [n, classes]. It standardises the images as in training, uses
    moving statistics and ends in a softmax. If the classes have names, `assets.extra/classes.txt`
    lists them, one per line: those that the file's run was trained on, or else the data set's.

    Args:
        file: path of the `.keras` file.
        images: its data set: mean, deviation, class names, and test pictures to try.
        path: the folder to write, new or empty; it appears once everything is right.

    Returns:
        The largest difference of a probability between the reloaded model and the network.

    Raises:
        BadInput: the folder is neither new nor empty, or cannot be replaced.
        RuntimeError: the exported network computes something else.
    """
    paths.check_new_folder("--export", path)
    import tensorflow as tf

    model = saved.load(file)
    names = pictures_record.classes_of(pathlib.Path(file)) or images.classes

    def probabilities(x):
        x = standardise(x, images.mean, images.deviation)
        return tf.nn.softmax(tf.cast(model(x, training=False), tf.float32))

    path = pathlib.Path(os.path.abspath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = paths.part_of(path)
    shutil.rmtree(aside, ignore_errors=True)  # left by a killed process
    try:
        archive = keras.export.ExportArchive()
        archive.track(model)
        like = tf.TensorSpec([None, *images.image_shape], tf.uint8, name="images")
        archive.add_endpoint("serve", probabilities, input_signature=[like])
        archive.write_out(str(aside), verbose=False)
        if names:
            (aside / "assets.extra").mkdir()
            text = "".join(f"{name}\n" for name in names)
            content = text.encode("utf-8", "surrogateescape")  # as the folders are named
            (aside / "assets.extra" / "classes.txt").write_bytes(content)
        difference = _difference(aside, probabilities, _pixels(images))
        half = any(layer.compute_dtype in ("float16", "bfloat16") for layer in model.layers)
        limit = HALF_TOLERANCE if half else TOLERANCE
        if not difference <= limit:
            raise RuntimeError(
                f"the exported network's probabilities differ from the network's by {difference:g}"
            )
        os.replace(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return difference


def _pixels(images):
    """The first test pictures, as uint8."""
    with data.named_failures(images):
        x, _ = next(iter(data.evaluation_batches(images, "test", TRIED)))
    pixels = 255 * (np.asarray(x) * np.float32(images.deviation) + np.float32(images.mean))
    return np.clip(np.rint(pixels), 0, 255).astype("uint8")


def _difference(folder, probabilities, pixels):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))  # kept in a variable: its functions need it alive
    found = np.asarray(loaded.serve(tf.constant(pixels)))
    return float(np.abs(found - np.asarray(probabilities(pixels))).max())
