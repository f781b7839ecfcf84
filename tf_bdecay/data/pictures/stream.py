"""A batch's way, of pictures in files: order of the epoch -> bytes -> crop -> standardised.

Order and crop of a picture are functions of (seed, epoch, its index) alone: `pipeline` says why.
Only the pictures of the batches that are made ahead are in memory, as uint8.
"""

import functools

import numpy as np
import tensorflow as tf

from tf_bdecay.batches import bounds, updates_per_epoch
from tf_bdecay.data.augment import in_host_memory, standardise
from tf_bdecay.data.order import epoch_order, epochs_from, examples_of
from tf_bdecay.data.pictures.crops import (
    crop_draws,
    evaluation_picture,
    mirrored,
    training_picture,
)
from tf_bdecay.data.pictures.picture_set import AREA
from tf_bdecay.data.randaugment import operation_draws, randaugment
from tf_bdecay.errors import BadInput

BUFFERED = 1  # batches made ahead
_TOGETHER = 8  # pictures that one call of Python reads: the call costs as much as the reading


def training_batches(picture_set, batch_size, seed, start_update, remainder, augment, part, strong):
    """Shuffled batches of random crops, epoch after epoch without end, none made ahead.

    Arguments, checked already, and result are those of `pipeline.training_batches`; `part` and
    `strong` are never None, and nothing is mixed yet. `augment=False` gives the middle of each
    picture, as evaluation has it.
    """
    count = len(picture_set.train)
    per_epoch = updates_per_epoch(count, batch_size, remainder)
    epochs, updates_of = epochs_from(start_update, per_epoch)
    area = (picture_set.least_area, AREA[1])
    labels = in_host_memory(picture_set.train.labels)
    begin, end = bounds(batch_size, *part)

    def of_epoch(epoch):
        order = epoch_order(count, seed, epoch)

        def of_update(update):
            chosen = examples_of(order, update, batch_size, part)
            return tf.data.Dataset.from_tensor_slices(chosen)

        return updates_of(epoch).flat_map(of_update).map(lambda index: (epoch, index))

    def example(content, epoch, index):
        if not augment:
            picture = _rounded(_middle(content, picture_set))
        else:
            uniforms, flip = crop_draws(seed, epoch, index)
            picture = training_picture(
                content, uniforms, picture_set.size, area, antialias=picture_set.antialias
            )
            picture = _rounded(picture)
            if picture_set.flip:
                picture = mirrored(picture, flip)
        if strong.operations is not None:
            uniforms = operation_draws(seed, epoch, index, strong.operations)
            picture = randaugment(picture, uniforms, strong.magnitude)
        return picture, tf.gather(labels, index)

    made = functools.partial(_made, picture_set, picture_set.train, example)
    if per_epoch * batch_size <= count:  # all batches are of one size
        batches = made(epochs.flat_map(of_epoch)).batch(end - begin, True)
    else:
        batches = epochs.flat_map(lambda epoch: made(of_epoch(epoch)).batch(end - begin))
    return _standardised(batches, picture_set)


def evaluation_batches(picture_set, split_name, batch_size, part):
    """The middle of every picture of a split once, in its order, none made ahead.

    Arguments, checked already, and result are those of `pipeline.evaluation_batches`; `part` is
    never None.
    """
    split = picture_set.split(split_name)
    count, size = len(split), min(int(batch_size), len(split))
    starts, labels = tf.data.Dataset.range(0, count, size), in_host_memory(split.labels)

    def of_batch(start):
        begin, end = bounds(tf.minimum(tf.constant(size, tf.int64), count - start), *part)
        return tf.data.Dataset.range(start + begin, start + end)

    def example(content, index):
        return _rounded(_middle(content, picture_set)), tf.gather(labels, index)

    # Batches but the last are of one size, and so are this part's.
    begin, end = bounds(size, *part)
    made = _made(picture_set, split, example, starts.flat_map(of_batch))
    batches = made.batch(end - begin, count % size == 0)
    batches = batches.apply(tf.data.experimental.assert_cardinality(-(-count // size)))
    return _standardised(batches, picture_set)


def chosen_images(picture_set, split, chosen):
    """The middle of some pictures, standardised, all in memory.

    Args:
        picture_set: a `PictureSet`.
        split: one of its `PictureSplit`s.
        chosen: int [n], indices of pictures.

    Returns:
        float32 [n, size, size, 3].
    """

    def example(content, index):
        return _rounded(_middle(content, picture_set))

    indices = tf.data.Dataset.from_tensor_slices(tf.constant(chosen, tf.int64))
    pictures = _made(picture_set, split, example, indices)
    pictures = pictures.batch(len(chosen)).get_single_element()
    return standardise(pictures, picture_set.mean, picture_set.deviation).numpy()


def _middle(content, picture_set):
    """The middle of a picture, as a set has it."""
    return evaluation_picture(content, picture_set.shorter, picture_set.size, picture_set.antialias)


def _made(picture_set, split, example, places):
    """`example` of a picture's bytes and its place, for each place; several side by side, in order.

    A place is an index, or (epoch, index). What cannot be read the set is told of, as TensorFlow
    buries sentences.
    """

    def read(indices):
        try:
            return np.array([split.content(index) for index in indices], object)
        except BadInput as error:
            picture_set.failures.append(str(error))
            raise

    def contents(*together):
        *_, indices = together
        found = tf.numpy_function(read, [indices], tf.string, stateful=False)
        return tf.ensure_shape(found, indices.shape), *together

    return _parallel(_parallel(places.batch(_TOGETHER), contents).unbatch(), example)


def _rounded(picture):
    return tf.cast(tf.round(picture), tf.uint8)


def _parallel(dataset, example):
    return dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _standardised(batches, picture_set):
    """Batches as floats."""
    return batches.map(lambda x, y: (standardise(x, picture_set.mean, picture_set.deviation), y))
