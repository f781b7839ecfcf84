"""What TensorFlow's stateless operations draw by Philox, in NumPy: for runs without TensorFlow.

Philox4x32-10 (Salmon et al., 2011). So the order of an epoch, its augmentation and the initial
weights are those of the TensorFlow path; the weights to the rounding of their logarithms and sines.
"""

import numpy as np

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], np.uint32)  # what a round adds to the key
_ROUNDS = 10
_SCRAMBLE = 0x02461E293EC8F720  # the key by which TensorFlow turns a seed into key and counter
_WORD = 2**32


def fold_in(seed, number):
    """`tf.random.experimental.stateless_fold_in` of an int64: a seed for every number.

    Args:
        seed: two ints.
        number: an int.

    Returns:
        Two ints.
    """
    low, high = _words(seed, 2)
    return int(low) | int(high) << 32, number


def uniform(seed, shape, limit):
    """`tf.random.stateless_uniform` of int32: integers in 0, ..., limit - 1.

    Args:
        seed: two ints.
        shape: tuple of ints.
        limit: an int below 2^31.

    Returns:
        int32, of the shape.
    """
    words = _words(seed, int(np.prod(shape)))
    return (words % np.uint32(limit)).astype(np.int32).reshape(shape)


def permutation(seed, count):
    """`tf.random.experimental.stateless_shuffle` of 0, ..., count - 1.

    Args:
        seed: two ints.
        count: an int.

    Returns:
        int32 [count].
    """
    left = np.arange(count, 1, -1, dtype=np.uint32)  # those not yet placed
    steps = (_words(seed, count - 1) % left).tolist()
    order = list(range(count))
    for i, step in enumerate(steps):
        order[i], order[i + step] = order[i + step], order[i]
    return np.array(order, np.int32)


def normal(seed, shape):
    """`tf.random.stateless_normal` of float32, by Box and Muller.

    Args:
        seed: two ints.
        shape: tuple of ints.

    Returns:
        float32, of the shape.
    """
    count = int(np.prod(shape))
    mantissas = _words(seed, count + count % 2) & np.uint32(0x7FFFFF)
    ones = (mantissas | np.uint32(127 << 23)).view(np.float32) - np.float32(1)  # in [0, 1)
    first, second = ones[0::2], ones[1::2]
    radius = np.sqrt(np.float32(-2) * np.log(np.maximum(first, np.float32(1e-7))))
    angle = np.float32(2 * np.pi) * second
    pairs = np.stack([np.sin(angle) * radius, np.cos(angle) * radius], axis=-1)
    return pairs.reshape(-1)[:count].reshape(shape)


def _words(seed, count):
    """The first uint32 words of a seed's stream."""
    mix = _blocks(_SCRAMBLE, seed, 1)
    key, high = (int(mix[i]) | int(mix[i + 1]) << 32 for i in (0, 2))
    return _blocks(key, (0, high), -(-count // 4))[:count]


def _blocks(key, counter, blocks):
    """The words of consecutive counters, four each.

    Args:
        key: an int of 64 bits.
        counter: two such ints, the low one first.
        blocks: how many; they must not carry into the high one.
    """
    low, high = (int(part) % 2**64 for part in counter)
    lows = np.uint64(low) + np.arange(blocks, dtype=np.uint64)
    a, b = (part.astype(np.uint32) for part in (lows, lows >> np.uint64(32)))
    c, d = (np.full(blocks, part, np.uint32) for part in (high % _WORD, high // _WORD))
    keys = np.array([key % _WORD, key // _WORD], np.uint32)
    for _ in range(_ROUNDS):
        first, second = (m * word for m, word in zip(_MULTIPLIERS, (a, c), strict=True))
        a, b, c, d = (
            _high(second) ^ b ^ keys[0],
            second.astype(np.uint32),
            _high(first) ^ d ^ keys[1],
            first.astype(np.uint32),
        )
        keys = keys + _WEYL
    return np.stack([a, b, c, d], axis=-1).reshape(-1)


def _high(product):
    return (product >> np.uint64(32)).astype(np.uint32)
