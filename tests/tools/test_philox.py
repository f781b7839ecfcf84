"""tools/reproducing/philox.py gives exactly the numbers of TensorFlow's stateless operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_bdecay.data.augment import draws
from tf_bdecay.data.image_set import Augmentation
from tf_bdecay.data.order import FLIP, ORDER, SHIFT, epoch_order, key
from tools.reproducing import philox


@pytest.mark.parametrize("seed, epoch, count", [(0, 0, 1438), (7, 3, 10), (2**32 - 1, 199, 5001)])
def test_order_and_augmentation_of_an_epoch(seed, epoch, count):
    at = tf.constant(epoch, tf.int64)
    for purpose in (ORDER, SHIFT, FLIP):
        assert philox.fold_in((seed, purpose), epoch) == (
            int(key(seed, at, purpose)[0]) % 2**64,
            epoch,
        )
    order = philox.permutation(philox.fold_in((seed, ORDER), epoch), count)
    np.testing.assert_array_equal(order, epoch_order(count, seed, at))
    offsets, flips = draws(count, Augmentation(padding=4, flip=True), seed, at)
    ours = philox.uniform(philox.fold_in((seed, SHIFT), epoch), (count, 2), 9)
    np.testing.assert_array_equal(ours, offsets)
    ours = philox.uniform(philox.fold_in((seed, FLIP), epoch), (count,), 2)
    np.testing.assert_array_equal(ours.astype(bool), flips)


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (5,), (1, 1)])
def test_initial_weights(shape):
    seed = keras.initializers.RandomNormal().seed
    theirs = keras.initializers.RandomNormal(0.0, 1.0, seed=seed)(shape)
    np.testing.assert_allclose(philox.normal((seed, 0), shape), theirs, rtol=1e-5, atol=1e-6)
