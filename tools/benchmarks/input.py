"""Training batches made by the host: images per second of `training_batches` and of alternatives.

The images are random, held in memory, and as many and as large as CIFAR's; pictures are JPEGs in
files. Nothing else uses the host while batches are made. A stream is first drained of the batches
that it made ahead, then timed, then closed, so that no alternative gains from batches made ahead.
"""

import os
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from tf_bdecay import data
from tools.benchmarks import pictures
from tools.benchmarks.timing import rows_of

PROBLEMS = {"batch256": 256, "batch8192": 8192, "pictures": 64}
MOST = 8  # repeats at most: a call of "image by image" takes seconds
COUNT, SHAPE = 50_000, (32, 32, 3)
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # CIFAR-10's
PADDING = 4
SHUFFLED = 10_000  # images in the shuffle buffer of the `tf.data` alternatives
CORES = os.cpu_count()
LEAST = 32_768  # images in a timed call, at least
LEAST_PICTURES = 256  # pictures in a timed call, at least


def run(problems, repeats):
    """Rows for each problem; the reference is a `tf.data` map over single images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)
    labels = rng.integers(0, 10, COUNT)
    rows = []
    for problem in problems:
        batch = PROBLEMS[problem]
        if problem == "pictures":
            rows += _of_pictures(batch, min(repeats, MOST))
            continue
        # At least as many as are made in parallel, so that a call outlasts batches begun before it.
        batches = max(-(-LEAST // batch), CORES)
        name = f"{batches * batch:,} images of 32x32x3, batch {batch:,}"
        rows += _interleave(
            name, _streams(images, labels, batch), batches, batch, min(repeats, MOST)
        )
    return rows


def _of_pictures(batch, repeats):
    """Rows for pictures in files; the reference is Keras' own data set and layers."""
    batches = max(LEAST_PICTURES // batch, CORES)
    name = f"{batches * batch} JPEGs of 500x375 to {pictures.SIZE}x{pictures.SIZE}, batch {batch}"
    with tempfile.TemporaryDirectory() as folder:
        pictures.write(folder)
        return _interleave(name, pictures.streams(folder, batch), batches, batch, repeats)


def _streams(images, labels, batch):
    split = data.Split(images, labels)
    image_set = data.ImageSet(
        name="noise",
        num_classes=10,
        train=split,
        test=split,
        mean=MEAN,
        deviation=DEVIATION,
        augmentation=data.Augmentation(PADDING, flip=True),
    )
    return {
        "tf.data, image by image": _image_by_image(images, labels, batch),
        "tf.data, Keras' layers by batch": _keras_layers(images, labels, batch),
        "training_batches": data.training_batches(image_set, batch, seed=0),
        "training_batches, augment=False": data.training_batches(
            image_set, batch, seed=0, augment=False
        ),
        "limit: gather and cast": _gathered(images, labels, batch),
    }


def _image_by_image(images, labels, batch):
    def augment(image, label):
        image = tf.pad(image, [[PADDING, PADDING], [PADDING, PADDING], [0, 0]])
        image = tf.image.random_crop(image, SHAPE)
        image = tf.image.random_flip_left_right(image)
        return (tf.cast(image, tf.float32) / 255 - MEAN) / DEVIATION, label

    return (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .shuffle(SHUFFLED)
        .repeat()
        .map(augment, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def _keras_layers(images, labels, batch):
    # Not RandomCrop, which crops all images of a batch at the same place.
    share = PADDING / SHAPE[0]
    layers = keras.Sequential(
        [
            keras.layers.RandomTranslation(
                share, share, fill_mode="constant", interpolation="nearest"
            ),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Normalization(mean=MEAN, variance=np.square(DEVIATION)),
        ]
    )
    return (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .shuffle(SHUFFLED)
        .repeat()
        .batch(batch, drop_remainder=True)
        .map(lambda x, y: (layers(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _gathered(images, labels, batch):
    images, labels = tf.constant(images), tf.constant(labels)
    order = tf.constant(np.random.default_rng(1).permutation(COUNT))

    def make(update):
        chosen = order[update * batch : (update + 1) * batch]
        return tf.cast(tf.gather(images, chosen), tf.float32), tf.gather(labels, chosen)

    return (
        tf.data.Dataset.range(COUNT // batch)
        .repeat()
        .map(make, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _interleave(problem, streams, batches, batch, repeats):
    """Like `timing.interleave`; a call makes `batches` batches of a drained stream."""
    first = {name: _first(stream) for name, stream in streams.items()}
    times = {name: [] for name in streams}
    for _ in range(repeats):
        for name, stream in streams.items():
            times[name].append(_seconds(stream, batches))
    figures = {
        name: {"images/s": float(batches * batch / np.median(taken))}
        for name, taken in times.items()
    }
    return rows_of(problem, first, times, figures)


def _first(stream):
    start = time.perf_counter()
    next(iter(stream))
    return time.perf_counter() - start


def _seconds(stream, batches):
    iterator = iter(stream)
    for _ in range(CORES + 3):  # drains the batches made in parallel and those made ahead
        next(iterator)
    start = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return time.perf_counter() - start
