"""MixUp (Zhang et al., 2018) and CutMix (Yun et al., 2019), which mix pictures and their labels.

A picture's partner is its neighbour in the batch: 0 and 1, 2 and 3, and so on. As the order of an
epoch is random, so are the pairs. No pair is split between two replicas, so a batch is the same
wherever its parts are made.

The layers of keras-cv are not used: they draw from TensorFlow's unseeded operations, so that no run
could resume to the same bits, and its CutMix weights labels by the size that a box has before the
edge of the picture cuts it off.
"""

import tensorflow as tf

from tf_bdecay.batches import bounds
from tf_bdecay.data.order import ALGORITHM, MIX, fold_in, key

_WHICH, _GAMMA, _UNIFORM, _CENTRE = range(4)  # what the keys of a batch are for


def mixed_batches(dataset, strong, num_classes, seed, start_update, per_epoch, sizes, part):
    """Mixes the pictures and labels of a stream of batches.

    Args:
        dataset: `tf.data.Dataset` of (float32 [b, height, width, channels], int64 [b]).
        strong: a `StrongAugmentation` that mixes.
        num_classes: of the labels.
        seed: int.
        start_update: the update of the first batch, counted over all epochs.
        per_epoch: updates per epoch.
        sizes: pictures of a global batch, and of the last one of an epoch.
        part: (index, count): which part of each global batch the stream has; no pair is in two.

    Returns:
        A `tf.data.Dataset` of (pictures, shaped as before; float32 [b, num_classes] whose rows sum
        to one). The only picture of a batch is its own partner.
    """
    usual, last = sizes

    def of_batch(update, batch):
        epoch, place = update // per_epoch, update % per_epoch
        size = usual if usual == last else tf.where(place == per_epoch - 1, last, usual)
        own = fold_in(key(seed, epoch, MIX), place)
        by_mixup, weights, centres = mixing_draws(own, strong, size)
        begin, end = bounds(size, *part)
        return mix(*batch, by_mixup, weights[begin:end], centres[begin:end], num_classes)

    numbered = dataset.enumerate(start_update)
    return numbered.map(of_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def mixing_draws(own, strong, size):
    """Draws the numbers by which a global batch is mixed.

    Args:
        own: int64 [2], the key of the batch.
        strong: as for `mixed_batches`.
        size: int or scalar, b.

    Returns:
        A boolean scalar, true for MixUp and false for CutMix; float32 [b], weights from
        Beta(alpha, alpha); float64 [b, 2] in [0, 1), for the centres of CutMix's boxes.
    """
    which = tf.random.stateless_uniform([], fold_in(own, _WHICH), alg=ALGORITHM)
    both = strong.mixup is not None and strong.cutmix is not None
    by_mixup = which < 0.5 if both else tf.constant(strong.mixup is not None)
    alphas = strong.mixup or strong.cutmix, strong.cutmix or strong.mixup
    weights = beta_draws(
        tf.where(by_mixup, *(tf.constant(a, tf.float64) for a in alphas)), own, size
    )
    centres = tf.random.stateless_uniform(
        [size, 2], fold_in(own, _CENTRE), dtype=tf.float64, alg=ALGORITHM
    )
    return by_mixup, tf.cast(weights, tf.float32), centres


def beta_draws(alpha, own, size):
    """Draws numbers from Beta(alpha, alpha).

    With G from Gamma(alpha + 1) and U uniform, G U^(1 / alpha) is distributed as Gamma(alpha); and
    one of two such numbers, divided by their sum, as Beta(alpha, alpha). In logarithms nothing
    underflows, however small alpha is:

        sigmoid(log G + log U / alpha - log G' - log U' / alpha)

    Args:
        alpha: float64 scalar > 0.
        own: int64 [2], a key.
        size: how many, n.

    Returns:
        float64 [n] in [0, 1].
    """
    gamma = tf.random.stateless_gamma([2, size], fold_in(own, _GAMMA), alpha + 1, dtype=tf.float64)
    uniform = tf.random.stateless_uniform(
        [2, size], fold_in(own, _UNIFORM), dtype=tf.float64, alg=ALGORITHM
    )
    first, second = tf.unstack(tf.math.log(gamma) + tf.math.log1p(-uniform) / alpha)
    return tf.sigmoid(first - second)


def mix(x, y, by_mixup, weights, centres, num_classes):
    """Mixes a batch, or a part of one.

    Args:
        x: float32 [b, height, width, channels].
        y: int64 [b], a class each.
        by_mixup: boolean scalar, true for MixUp and false for CutMix.
        weights, centres: from `mixing_draws`, for these pictures.
        num_classes: of the labels.

    Returns:
        Pictures like `x`, and float32 [b, num_classes].
    """
    partners = neighbours(tf.shape(x)[0])
    pictures, shares = tf.cond(
        by_mixup,
        lambda: (mixup(x, partners, weights), weights),
        lambda: cutmix(x, partners, weights, centres),
    )
    labels, shares = tf.one_hot(y, num_classes), shares[:, tf.newaxis]
    labels = shares * labels + (1 - shares) * tf.gather(labels, partners)
    return tf.ensure_shape(pictures, x.shape), labels


def neighbours(size):
    """The partner of each picture of a batch: 1, 0, 3, 2, ...; of an odd last one, the one before.

    Args:
        size: int scalar, b.

    Returns:
        int32 [b].
    """
    places = tf.bitwise.bitwise_xor(tf.range(size), 1)
    return tf.where(places < size, places, tf.maximum(size - 2, 0))


# XLA makes one loop over the pixels, several times faster than one operation after the other.
@tf.function(jit_compile=True, autograph=False)
def mixup(x, partners, weights):
    """lambda x + (1 - lambda) x' of pictures x and their partners x'.

    Args:
        x: float32 [b, height, width, channels].
        partners: int32 [b], index of each picture's partner.
        weights: float32 [b], lambda.

    Returns:
        A tensor like `x`.
    """
    weights = tf.reshape(weights, [-1, 1, 1, 1])
    return weights * x + (1 - weights) * tf.gather(x, partners)


@tf.function(jit_compile=True, autograph=False)
def cutmix(x, partners, weights, centres):
    """Pictures with a box of their partner's pixels in each.

    A box measures sqrt(1 - lambda) of each side, rounded down, around a random pixel; what is
    beyond the picture's edge is cut off.

    Args:
        x, partners, weights: as for `mixup`.
        centres: float64 [b, 2] in [0, 1), row and column of the pixel, as fractions of the sides.

    Returns:
        Pictures like `x`, and float32 [b], the share of its own pixels that each keeps.
    """
    height, width = x.shape[1:3]
    sides = tf.constant([height, width], tf.float64)
    ratio = tf.sqrt(1 - tf.cast(weights, tf.float64))[:, tf.newaxis]
    lengths = tf.floor(ratio * sides)
    starts = tf.floor(centres * sides) - lengths // 2
    starts, ends = tf.maximum(starts, 0), tf.minimum(starts + lengths, sides)
    (top, left), (bottom, right) = (tf.split(e, 2, 1) for e in (starts, ends))
    rows, columns = tf.range(height, dtype=tf.float64), tf.range(width, dtype=tf.float64)
    rows, columns = (top <= rows) & (rows < bottom), (left <= columns) & (columns < right)
    boxes = rows[:, :, tf.newaxis, tf.newaxis] & columns[:, tf.newaxis, :, tf.newaxis]
    kept = height * width - tf.reduce_prod(ends - starts, 1)
    return tf.where(boxes, tf.gather(x, partners), x), tf.cast(kept / (height * width), tf.float32)
