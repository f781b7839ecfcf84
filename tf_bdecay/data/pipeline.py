"""A batch's way: images in memory -> order of the epoch -> augmented -> standardised.

Pictures in files go the way of `pictures.stream`.

Order and augmentation of an example are functions of (seed, epoch, example index) alone. So a run
that was cut off goes on at any update with the very batches that it would have had.
"""

import tensorflow as tf

from tf_bdecay.batches import bounds, updates_per_epoch
from tf_bdecay.data.augment import crop_and_flip, draws, standardise
from tf_bdecay.data.mixing import mixed_batches
from tf_bdecay.data.order import WHOLE, check_seed, epoch_order, examples_of
from tf_bdecay.data.pictures import stream
from tf_bdecay.data.pictures.picture_set import PictureSet
from tf_bdecay.data.randaugment import randaugment_batch
from tf_bdecay.data.strong import StrongAugmentation
from tf_bdecay.errors import check_count, check_flag

BUFFERED = 2  # batches made ahead; one of 8,192 CIFAR images takes 100 MB


def training_batches(
    image_set,
    batch_size,
    seed,
    start_update=0,
    remainder="drop",
    augment=True,
    part=None,
    strong=None,
):
    """Shuffled, augmented batches, epoch after epoch without end.

    Give `fit` its `steps_per_epoch`, `updates_per_epoch(len(image_set.train), ...)`: without it the
    first epoch would never end.

    Args:
        image_set: an `ImageSet` or a `PictureSet`.
        batch_size: images of a global batch; a strategy cuts it into replicas.
        seed: in [0, 2^32), of order and augmentation.
        start_update: updates already done, k: the stream is the tail, from batch k on, of the
            stream that starts at 0. No skipped image is touched.
        remainder: what becomes of an epoch's last images where batches of `batch_size` do not use
            them up: "drop", or "keep" as a smaller batch.
        augment: whether to crop and flip as the set's `augmentation` says.
        part: (index, count) for the index-th of `count` consecutive parts of each batch, as one of
            many workers needs it; None for all of it.
        strong: a `StrongAugmentation` that comes after crops and flips; None for none.

    Returns:
        An infinite `tf.data.Dataset` of (float32 [b, height, width, channels] standardised,
        int64 [b]); b is static where all batches have one size. Where `strong` mixes, labels are
        float32 [b, num_classes] that sum to one.

    Raises:
        BadInput: an argument of another type or range, a batch larger than the set or, with
            `strong`, pictures or parts that it cannot have.
    """
    count = len(image_set.train)
    per_epoch = updates_per_epoch(count, batch_size, remainder)
    check_seed(seed)
    check_count("start_update", start_update, least=0)
    check_flag("augment", augment)
    part, strong = part or WHOLE, strong or StrongAugmentation()
    last = batch_size if remainder == "drop" else count % batch_size or batch_size
    strong.check_pictures(image_set.name, image_set.image_shape[-1])
    for size in (batch_size, last):
        strong.check_parts("a batch", size, part[1])
    pictures = isinstance(image_set, PictureSet)
    make = stream.training_batches if pictures else _training_batches
    batches = make(image_set, batch_size, seed, start_update, remainder, augment, part, strong)
    if strong.mixes:
        batches = mixed_batches(
            batches,
            strong,
            image_set.num_classes,
            seed,
            start_update,
            per_epoch,
            (batch_size, last),
            part,
        )
    return batches.prefetch(stream.BUFFERED if pictures else BUFFERED)


def _training_batches(image_set, batch_size, seed, start_update, remainder, augment, part, strong):
    """`training_batches` of images in memory, its arguments checked, before pictures are mixed."""
    count = len(image_set.train)
    per_epoch = updates_per_epoch(count, batch_size, remainder)
    first_epoch, done = divmod(int(start_update), per_epoch)
    even = per_epoch * batch_size <= count
    images, labels = _in_host_memory(image_set.train)

    def epoch_batches(epoch):
        order = epoch_order(count, seed, epoch)
        choices = draws(count, image_set.augmentation, seed, epoch) if augment else ()

        def choose(update):
            chosen = examples_of(order, update, batch_size, part)
            if even:
                begin, end = bounds(batch_size, *part)
                chosen = tf.ensure_shape(chosen, [end - begin])
            return epoch, chosen, tuple(tf.gather(choice, chosen) for choice in choices)

        first = tf.where(epoch == first_epoch, tf.constant(done, tf.int64), 0)
        return tf.data.Dataset.range(first, per_epoch).map(choose)

    # One loop over the pixels, four times faster than an operation after the other.
    @tf.function(jit_compile=True, autograph=False)
    def vary(x, choices):
        return crop_and_flip(x, *choices, image_set.augmentation.padding) if choices else x

    @tf.function(jit_compile=True, autograph=False)
    def prepare(x, choices):
        return standardise(vary(x, choices), image_set.mean, image_set.deviation)

    def make(epoch, chosen, choices):
        x, y = tf.gather(images, chosen), tf.gather(labels, chosen)
        if strong.operations is not None:  # of pixels from 0 to 255
            x = randaugment_batch(vary(x, choices), seed, epoch, chosen, strong)
            choices = ()
        return prepare(x, choices), y

    epochs = tf.data.Dataset.counter(first_epoch)
    return epochs.flat_map(epoch_batches).map(
        make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def evaluation_batches(image_set, split_name, batch_size, part=None):
    """Every example of a split once, in order and not augmented.

    Args:
        image_set: an `ImageSet` or a `PictureSet`.
        split_name: "train", "validation" or "test".
        batch_size: images of a batch; the last batch has those that are left.
        part: as in `training_batches`; the parts of the last batch may be uneven.

    Returns:
        A finite `tf.data.Dataset` of known cardinality, of batches like `training_batches`'.

    Raises:
        BadInput: no such split, or a batch size that is no whole number >= 1.
    """
    split = image_set.split(split_name)
    check_count("batch_size", batch_size)
    part = part or WHOLE
    if isinstance(image_set, PictureSet):
        return stream.evaluation_batches(image_set, split_name, batch_size, part)
    size = min(int(batch_size), len(split))
    images, labels = _in_host_memory(split)

    def make(start):
        examples = tf.minimum(tf.constant(size, tf.int64), len(split) - start)
        begin, end = bounds(examples, *part)
        x, y = images[start + begin : start + end], labels[start + begin : start + end]
        if len(split) % size == 0:
            begin, end = bounds(size, *part)
            x = tf.ensure_shape(x, [end - begin, *x.shape[1:]])
            y = tf.ensure_shape(y, [end - begin])
        return standardise(x, image_set.mean, image_set.deviation), y

    return (
        tf.data.Dataset.range(0, len(split), size)
        .map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(BUFFERED)
    )


def _in_host_memory(split):
    # Left alone, TensorFlow would put the whole set into an accelerator's memory.
    with tf.device("CPU:0"):
        return tf.constant(split.images), tf.constant(split.labels)
