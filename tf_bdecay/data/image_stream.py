"""How a batch of images in memory is made: epoch order, augmentation, standardisation.

The order and augmentation of an example are functions of (seed, epoch, its index) alone: `pipeline`
says why.
"""

import tensorflow as tf

from tf_bdecay.batches import bounds, updates_per_epoch
from tf_bdecay.data.augment import crop_and_flip, draws, in_host_memory, standardise
from tf_bdecay.data.order import epoch_order, epochs_from, examples_of
from tf_bdecay.data.randaugment import randaugment_batch

BUFFERED = 2  # batches made ahead; one of 8,192 CIFAR images takes 100 MB


def training_batches(image_set, batch_size, seed, start_update, remainder, augment, part, strong):
    """Shuffled, augmented batches, epoch after epoch without end, not prefetched.

    The arguments, already checked, and the result are those of `pipeline.training_batches`; `part`
    and `strong` are never None, and nothing is mixed yet.
    """
    count = len(image_set.train)
    per_epoch = updates_per_epoch(count, batch_size, remainder)
    epochs, updates_of = epochs_from(start_update, per_epoch)
    even = per_epoch * batch_size <= count
    train = image_set.train
    images, labels = in_host_memory(train.images), in_host_memory(train.labels)

    def epoch_batches(epoch):
        order = epoch_order(count, seed, epoch)
        choices = draws(count, image_set.augmentation, seed, epoch) if augment else ()

        def choose(update):
            chosen = examples_of(order, update, batch_size, part)
            if even:
                begin, end = bounds(batch_size, *part)
                chosen = tf.ensure_shape(chosen, [end - begin])
            return epoch, chosen, tuple(tf.gather(choice, chosen) for choice in choices)

        return updates_of(epoch).map(choose)

    # XLA makes one loop over the pixels, four times faster than one operation after the other.
    @tf.function(jit_compile=True, autograph=False)
    def vary(x, choices):
        return crop_and_flip(x, *choices, image_set.augmentation.padding) if choices else x

    @tf.function(jit_compile=True, autograph=False)
    def prepare(x, choices):
        return standardise(vary(x, choices), image_set.mean, image_set.deviation)

    def make(epoch, chosen, choices):
        x, y = tf.gather(images, chosen), tf.gather(labels, chosen)
        if strong.operations is not None:  # they take pixels from 0 to 255
            x = randaugment_batch(vary(x, choices), seed, epoch, chosen, strong)
            choices = ()
        return prepare(x, choices), y

    return epochs.flat_map(epoch_batches).map(
        make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def evaluation_batches(image_set, split_name, batch_size, part):
    """Every example of a split once, in order, neither augmented nor prefetched.

    The arguments, already checked, and the result are those of `pipeline.evaluation_batches`;
    `part` is never None.
    """
    split = image_set.split(split_name)
    size = min(int(batch_size), len(split))
    images, labels = in_host_memory(split.images), in_host_memory(split.labels)

    def make(start):
        examples = tf.minimum(tf.constant(size, tf.int64), len(split) - start)
        begin, end = bounds(examples, *part)
        x, y = images[start + begin : start + end], labels[start + begin : start + end]
        if len(split) % size == 0:
            begin, end = bounds(size, *part)
            x = tf.ensure_shape(x, [end - begin, *x.shape[1:]])
            y = tf.ensure_shape(y, [end - begin])
        return standardise(x, image_set.mean, image_set.deviation), y

    starts = tf.data.Dataset.range(0, len(split), size)
    return starts.map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def chosen_images(image_set, split, chosen):
    """Some images of a split, standardised: float32 [n, height, width, channels].

    Args:
        image_set: an `ImageSet`.
        split: one of its `Split`s.
        chosen: int [n], indices of images.
    """
    return standardise(split.images[chosen], image_set.mean, image_set.deviation).numpy()
