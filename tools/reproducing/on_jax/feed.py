"""A data set in the memory of JAX's device: augmented there, in the TensorFlow path's order."""

from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp

from tf_bdecay.data.order import FLIP, ORDER, SHIFT
from tools.reproducing import philox


class Pixels(NamedTuple):
    """What is on the device of a training split.

    Attributes:
        images: uint8 [n, height + 2 padding, width + 2 padding, channels], black around.
        labels: int32 [n].
    """

    images: jax.Array
    labels: jax.Array


class Choices(NamedTuple):
    """What batches are made of, [updates, batch] or of one batch [batch].

    Attributes:
        examples: int32, indices.
        offsets: int32 [..., 2], row and column of each crop's corner in the padded image.
        flips: bool, whether it is mirrored left to right.
    """

    examples: np.ndarray
    offsets: np.ndarray
    flips: np.ndarray


class Examples(NamedTuple):
    """A split cut into batches; the last is filled up with examples that do not count.

    Attributes:
        images: uint8 [batches, batch, height, width, channels].
        labels: int32 [batches, batch].
        counts: bool [batches, batch].
    """

    images: jax.Array
    labels: jax.Array
    counts: jax.Array


def pixels(image_set):
    """The `Pixels` of an `ImageSet`'s training split."""
    padding = image_set.augmentation.padding
    around = [(0, 0), (padding, padding), (padding, padding), (0, 0)]
    images = np.pad(image_set.train.images, around)
    return Pixels(jnp.asarray(images), jnp.asarray(image_set.train.labels.astype(np.int32)))


def choices(image_set, batch_size, seed, epoch, augment=True):
    """The `Choices` of an epoch's whole batches: those of `tf_bdecay.data.training_batches`.

    Args:
        image_set: the `ImageSet`.
        batch_size: B.
        seed: of the run.
        epoch: from 0.
        augment: whether to crop and flip; else images are as they are.

    Returns:
        NumPy arrays [n // B, B].
    """
    count, padding = len(image_set.train), image_set.augmentation.padding
    updates = count // batch_size

    def key(purpose):
        return philox.fold_in((seed, purpose), epoch)

    offsets, flips = np.full((count, 2), padding, np.int32), np.zeros(count, bool)
    if augment:
        offsets = philox.uniform(key(SHIFT), (count, 2), 2 * padding + 1)
        if image_set.augmentation.flip:
            flips = philox.uniform(key(FLIP), (count,), 2).astype(bool)
    order = philox.permutation(key(ORDER), count)[: updates * batch_size]
    order = order.reshape(updates, batch_size)
    return Choices(order, offsets[order], flips[order])


def batch(pixels, choices, padding):
    """Images of one batch, cropped and mirrored, uint8, and their labels.

    Args:
        pixels: the `Pixels`.
        choices: the `Choices` of the batch.
        padding: of the images.
    """
    height, width = (size - 2 * padding for size in pixels.images.shape[1:3])
    columns = jnp.where(choices.flips[:, None], jnp.arange(width)[::-1], jnp.arange(width))
    rows = choices.offsets[:, :1] + jnp.arange(height)
    columns = choices.offsets[:, 1:] + columns
    chosen = choices.examples[:, None, None], rows[:, :, None], columns[:, None, :]
    return pixels.images[chosen], pixels.labels[choices.examples]


def standardise(images, mean, deviation):
    """`tf_bdecay.data.augment.standardise`: (pixel / 255 - mean) / deviation, float32."""
    centre, scale = 255 * np.float32(mean), 1 / (255 * np.float32(deviation))
    return (images.astype(jnp.float32) - centre) * scale


def examples(split, batch_size):
    """The `Examples` of a `Split`, in batches of at most `batch_size`."""
    count = len(split)
    size = min(batch_size, count)
    batches = -(-count // size)
    numbers = np.arange(batches * size).reshape(batches, size)
    chosen = np.minimum(numbers, count - 1)
    labels = split.labels[chosen].astype(np.int32)
    return Examples(*map(jnp.asarray, (split.images[chosen], labels, numbers < count)))
