"""Batches of pictures in files: `training_batches` and its alternatives, for `input`.

The pictures are `COUNT` crops of scikit-learn's two photographs, saved as JPEGs in class folders.
Each has about 500 x 375 pixels, as ImageNet's pictures have.
"""

import importlib.util
import pathlib

import keras
import numpy as np
import tensorflow as tf

from tf_bdecay import data
from tf_bdecay.data.pictures import loading, picture_set
from tf_bdecay.data.pictures.crops import crop_draws, decode_box, random_box
from tf_bdecay.data.strong_augmentation import MAGNITUDE, StrongAugmentation

COUNT, SIZE, QUALITY = 512, 224, 92
MEAN, DEVIATION = picture_set.MEAN, picture_set.DEVIATION


def write(folder):
    """Writes the pictures, half of them in each class."""
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
    plain = loading.load(str(folder), SIZE, held_out=1 / 64, antialias=False)
    strong = {"MixUp": StrongAugmentation(mixup=0.2), "CutMix": StrongAugmentation(cutmix=1.0)}
    theirs = {}
    if importlib.util.find_spec("keras_cv"):
        strong["RandAugment"] = StrongAugmentation(operations=2)
        theirs["keras-cv's RandAugment"] = _keras_cv(images, batch)
    ours = {
        f"training_batches, {name}": data.training_batches(images, batch, seed=0, strong=asked)
        for name, asked in strong.items()
    }
    return {
        "Keras' data set and layers": _keras(folder, batch),
        "tf.data, whole pictures": _whole(folder, batch),
        "training_batches": data.training_batches(images, batch, seed=0),
        "training_batches, no antialiasing": data.training_batches(plain, batch, seed=0),
        **ours,
        **theirs,
        "limit: decode and crop": _decoded(folder, batch),
    }


def _files(folder):
    names = sorted(str(path) for path in pathlib.Path(folder).rglob("*.jpg"))
    return tf.data.Dataset.from_tensor_slices(names).shuffle(COUNT).repeat()


def _keras(folder, batch):
    """As in Keras' guides: every picture is resized to one size, then cropped and flipped."""
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


def _keras_cv(images, batch):
    """The crops of `training_batches`, with the layer of keras-cv on each batch."""
    from keras_cv import layers

    layer = layers.RandAugment((0, 255), augmentations_per_image=2, magnitude=MAGNITUDE)
    deviation, mean = 255 * np.float32(DEVIATION), 255 * np.float32(MEAN)

    def augment(x, y):
        return (layer(x * deviation + mean) - mean) / deviation, y

    batches = data.training_batches(images, batch, seed=0)
    return batches.map(augment, num_parallel_calls=tf.data.AUTOTUNE).prefetch(1)


def _whole(folder, batch):
    """The same crops as ours, from pictures that are decoded whole."""

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
    """Reads pictures and decodes a random part of each, and does nothing with the pixels."""

    def example(name, seed):
        uniforms, _ = crop_draws(0, tf.constant(0, tf.int64), seed)
        pixels = decode_box(tf.io.read_file(name), lambda h, w: random_box(h, w, uniforms))
        return tf.shape(pixels)

    numbered = tf.data.Dataset.zip((_files(folder), tf.data.Dataset.counter()))
    return _batched(numbered.map(example, num_parallel_calls=tf.data.AUTOTUNE), batch)


def _batched(examples, batch):
    return examples.batch(batch, drop_remainder=True).prefetch(1)
