"""The order of training examples: those of update u, as a function of seed and epoch alone."""

import numbers

import numpy as np

from tf_bdecay.batches import bounds
from tf_bdecay.errors import require

# Named, since the default differs between devices, and so would the order.
ALGORITHM = "philox"

# What a key is for: keys of different purposes are independent.
ORDER, SHIFT, FLIP, CROP, OPERATIONS, MIX = range(6)

WHOLE = (0, 1)  # the part that is the whole batch


def key(seed, epoch, purpose):
    """The key of an epoch's draws for a purpose.

    Args:
        seed: int.
        epoch: int64 scalar.
        purpose: `ORDER`, `SHIFT`, `FLIP`, `CROP`, `OPERATIONS` or `MIX`.

    Returns:
        An int64 [2], for TensorFlow's stateless operations.
    """
    import tensorflow as tf

    return fold_in(tf.constant([seed, purpose], tf.int64), epoch)


def fold_in(own, number):
    """Folds a number into a key.

    Args:
        own: int64 [2], a key.
        number: int, or integer scalar.

    Returns:
        An int64 [2]; different numbers give independent keys, and so do different keys.
    """
    import tensorflow as tf

    number = tf.cast(number, tf.int64)
    return tf.random.experimental.stateless_fold_in(own, number, alg=ALGORITHM)


def epoch_order(num_examples, seed, epoch):
    """The order in which an epoch visits the examples.

    Args:
        num_examples: n.
        seed: int.
        epoch: int64 scalar, from 0.

    Returns:
        An int64 [n], a permutation of 0, ..., n - 1.
    """
    import tensorflow as tf

    return tf.random.experimental.stateless_shuffle(
        tf.range(num_examples, dtype=tf.int64), key(seed, epoch, ORDER), alg=ALGORITHM
    )


def permutation(num_examples, seed, epoch):
    """The order of an epoch, drawn without TensorFlow and different from `epoch_order`'s.

    Examples are sorted by their 64-bit draws from Philox, whose stream NumPy keeps the same.

    Args:
        num_examples: n.
        seed: int in [0, 2^32).
        epoch: int, from 0.

    Returns:
        An int64 [n], a permutation of 0, ..., n - 1.
    """
    drawn = np.random.Philox(key=np.array([seed, epoch], "uint64")).random_raw(num_examples)
    return np.argsort(drawn, kind="stable").astype("int64")


def examples_of(order, update, batch_size, part):
    """The examples of an update, or of a part of it.

    Args:
        order: int64 [n], from `epoch_order`.
        update: int64 scalar, from 0 in each epoch.
        batch_size: examples of a global batch.
        part: (index, count) for the index-th of `count` consecutive parts.

    Returns:
        An int64 [b].
    """
    chosen = order[update * batch_size : (update + 1) * batch_size]
    if part == WHOLE:
        return chosen
    import tensorflow as tf

    begin, end = bounds(tf.shape(chosen)[0], *part)
    return chosen[begin:end]


def epochs_from(start_update, per_epoch):
    """The endless epochs from that of a given update on, and the updates that each has left.

    Args:
        start_update: int, the first update, counted over all epochs.
        per_epoch: updates per epoch.

    Returns:
        (epochs, updates_of): a `tf.data.Dataset` of int64 epochs, and a function from an epoch to
        the data set of its int64 updates, counted from 0 in each epoch.
    """
    import tensorflow as tf

    first_epoch, done = divmod(int(start_update), per_epoch)

    def updates_of(epoch):
        first = tf.where(epoch == first_epoch, tf.constant(done, tf.int64), 0)
        return tf.data.Dataset.range(first, per_epoch)

    return tf.data.Dataset.counter(first_epoch), updates_of


def check_seed(seed):
    """Raises `BadInput` unless the seed is one that every library here takes."""
    whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    require(
        whole and 0 <= seed < 2**32,
        f"`seed` must be a whole number in [0, 2^32). Received: seed={seed!r}",
    )
