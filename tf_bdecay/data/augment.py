"""Crops, flips and standardises a whole batch; keeps data in host memory until then."""

import numpy as np
import tensorflow as tf

from tf_bdecay.data.order import ALGORITHM, FLIP, SHIFT, key


def draws(num_examples, augmentation, seed, epoch):
    """Draws each example's crop and flip for an epoch, whatever the order.

    Args:
        num_examples: n.
        augmentation: an `Augmentation`.
        seed: int.
        epoch: int64 scalar.

    Returns:
        (offsets, flips): int32 [n, 2], row and column of the crop's corner in the padded image,
        uniform in 0, ..., 2 padding; bool [n], true with probability 1/2, or never without flips.
    """
    offsets = tf.random.stateless_uniform(
        [num_examples, 2],
        key(seed, epoch, SHIFT),
        maxval=2 * augmentation.padding + 1,
        dtype=tf.int32,
        alg=ALGORITHM,
    )
    if not augmentation.flip:
        return offsets, tf.zeros([num_examples], tf.bool)
    coins = tf.random.stateless_uniform(
        [num_examples], key(seed, epoch, FLIP), maxval=2, dtype=tf.int32, alg=ALGORITHM
    )
    return offsets, tf.cast(coins, tf.bool)


def crop_and_flip(images, offsets, flips, padding):
    """Pads with black, crops to the old size, then mirrors left to right where `flips` is true.

    Args:
        images: [b, height, width, channels].
        offsets: int32 [b, 2], row and column of each crop's corner in the padded image.
        flips: bool [b].
        padding: pixels on each side.

    Returns:
        A tensor like `images`.
    """
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    rows = offsets[:, :1] + tf.range(height)
    columns = offsets[:, 1:] + tf.where(
        flips[:, tf.newaxis], tf.range(width)[::-1], tf.range(width)
    )
    # Two gathers over a batch are several times faster than an image operation for each example.
    cropped = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(cropped, columns, axis=2, batch_dims=1)


def standardise(images, mean, deviation):
    """(pixel / 255 - mean) / deviation, by channel.

    Args:
        images: uint8 [b, height, width, channels].
        mean, deviation: one float per channel, of pixels in [0, 1].

    Returns:
        float32, of the images' shape.
    """
    # Constants of an image's shape: with [channels] numbers, which TensorFlow must broadcast, this
    # takes five times as long.
    centre = np.broadcast_to(255 * np.float32(mean), images.shape[1:])
    scale = np.broadcast_to(1 / (255 * np.float32(deviation)), images.shape[1:])
    return (tf.cast(images, tf.float32) - centre) * scale


def in_host_memory(array):
    """A tensor that graphs refer to: an array would become a part of each.

    Left alone, TensorFlow would put a whole set into an accelerator's memory.
    """
    with tf.device("CPU:0"):
        return tf.constant(array)
