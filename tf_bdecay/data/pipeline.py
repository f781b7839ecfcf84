"""Batches for training and evaluation, of images in memory and of pictures in files.

How a batch is made: epoch order, augmentation and standardisation, in `image_stream` or in
`pictures.stream`; then mixing; then prefetching.

The order and augmentation of an example are functions of (seed, epoch, example index) alone. So a
run that was cut off resumes at any update with the very batches that it would have had.
"""

from tf_bdecay.batches import updates_per_epoch
from tf_bdecay.data import image_stream
from tf_bdecay.data.mixing import mixed_batches
from tf_bdecay.data.order import WHOLE, check_seed
from tf_bdecay.data.pictures import stream as picture_stream
from tf_bdecay.data.pictures.picture_set import PictureSet
from tf_bdecay.data.strong_augmentation import StrongAugmentation
from tf_bdecay.errors import check_count, check_flag


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
        remainder: what to do with an epoch's last images if batches of `batch_size` do not use them
            up: "drop", or "keep" as a smaller batch.
        augment: whether to crop and flip as the set's `augmentation` says.
        part: (index, count) for the index-th of `count` consecutive parts of each batch, as one of
            many workers needs it; None for all of it.
        strong: a `StrongAugmentation` that comes after crops and flips; None for none.

    Returns:
        An infinite `tf.data.Dataset` of (float32 [b, height, width, channels] standardised,
        int64 [b]); b is static where all batches have one size. Where `strong` mixes, labels are
        float32 [b, num_classes] that sum to one.

    Raises:
        BadInput: an argument has the wrong type or is out of range, a batch is larger than the set
            or, with `strong`, the pictures or parts do not go with it.
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
    stream = _stream(image_set)
    batches = stream.training_batches(
        image_set, batch_size, seed, start_update, remainder, augment, part, strong
    )
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
    return batches.prefetch(stream.BUFFERED)


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
        BadInput: there is no such split, or the batch size is not a whole number >= 1.
    """
    image_set.split(split_name)  # raises if there is none
    check_count("batch_size", batch_size)
    stream = _stream(image_set)
    batches = stream.evaluation_batches(image_set, split_name, batch_size, part or WHOLE)
    return batches.prefetch(stream.BUFFERED)


def chosen_examples(image_set, split_name, chosen):
    """Some examples of a split, not augmented, all in memory.

    Args:
        image_set, split_name: as in `evaluation_batches`.
        chosen: int [n], indices of the examples.

    Returns:
        (float32 [n, height, width, channels] standardised, int64 [n]), NumPy arrays.
    """
    split = image_set.split(split_name)
    return _stream(image_set).chosen_images(image_set, split, chosen), split.labels[chosen]


def _stream(image_set):
    """The module that makes a set's streams."""
    return picture_stream if isinstance(image_set, PictureSet) else image_stream
