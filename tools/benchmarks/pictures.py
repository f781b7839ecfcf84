"""Batches of pictures in files: images a second of `training_batches` beside what others write.

The pictures are scikit-learn's two photographs in `COUNT` parts of about 500 x 375 pixels, saved as
JPEGs in class folders: as large as ImageNet's. What is timed is as in `input`.
"""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from tf_bdecay import data
from tf_bdecay.data.crops import crop_draws, decode_box, random_box
from tf_bdecay.data.pictures import loading, picture_set

COUNT, SIZE, QUALITY = 512, 224, 92
MEAN, DEVIATION = picture_set.MEAN, picture_set.DEVIATION


def write(folder):
    """Writes the pictures, half of them of each class."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    draw = np.random.default_rng(0)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    for number in range(COUNT):
        photograph = photographs[number % len(photographs)]
        width, height = (int(side) for side in draw.integers((420, 320), (580, 427)))
        left = int(draw.integers(0, photograph.width - width + 1))
        top = int(draw.integers(0, photograph.height - height + 1))
        path = pathlib.Path(folder, f"{number % len(photographs)}", f"{number}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = photograph.crop((left, top, left + width, top + height))
        part.save(path, quality=QUALITY)


def streams(folder, batch):
    """Dict of a name to an endless stream of batches."""
    images = loading.load(str(folder), SIZE, held_out=1 / 64)
    return {
        "Keras' data set and layers": _keras(folder, batch),
        "tf.data, whole pictures": _whole(folder, batch),
        "training_batches": data.training_batches(images, batch, seed=0),
        "limit: decode and crop": _decoded(folder, batch),
    }


def _files(folder):
    names = sorted(str(path) for path in pathlib.Path(folder).rglob("*.jpg"))
    return tf.data.Dataset.from_tensor_slices(names).shuffle(COUNT).repeat()


def _keras(folder, batch):
    """What Keras' guides do: every picture to one size, then crops and flips of it."""
    layers = keras.Sequential(
        [
            keras.layers.RandomCrop(SIZE, SIZE),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Normalization(mean=MEAN, variance=np.square(DEVIATION)),
        ]
    )
    pictures = keras.utils.image_dataset_from_directory(
        str(folder), batch_size=batch, image_size=(256, 256), verbose=False
    )
    return (
        pictures.repeat()
        .map(lambda x, y: (layers(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _whole(folder, batch):
    """The same crops as ours, of pictures that are decoded whole."""

    def example(name, seed):
        pixels = tf.io.decode_jpeg(tf.io.read_file(name), channels=3)
        height, width = tf.unstack(tf.shape(pixels)[:2])
        uniforms, flip = crop_draws(0, tf.constant(0, tf.int64), seed)
        top, left, rows, columns = tf.unstack(random_box(height, width, uniforms))
        part = pixels[top : top + rows, left : left + columns]
        part = tf.image.resize(part, [SIZE, SIZE], antialias=True)
        part = tf.where(flip, part[:, ::-1], part)
        return (part / 255 - MEAN) / DEVIATION

    numbered = tf.data.Dataset.zip((_files(folder), tf.data.Dataset.counter()))
    return _batched(numbered.map(example, num_parallel_calls=tf.data.AUTOTUNE), batch)


def _decoded(folder, batch):
    """Reads a picture and decodes a random part of it; no pixel goes further."""

    def example(name, seed):
        uniforms, _ = crop_draws(0, tf.constant(0, tf.int64), seed)
        pixels = decode_box(tf.io.read_file(name), lambda h, w: random_box(h, w, uniforms))
        return tf.shape(pixels)

    numbered = tf.data.Dataset.zip((_files(folder), tf.data.Dataset.counter()))
    return _batched(numbered.map(example, num_parallel_calls=tf.data.AUTOTUNE), batch)


def _batched(examples, batch):
    return examples.batch(batch, drop_remainder=True).prefetch(1)
