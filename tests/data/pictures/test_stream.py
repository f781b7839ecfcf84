"""Batches of pictures in files equal the pictures read one by one."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data.pictures.in_memory import picture_set_of
from tests.data.sets import image_set_of
from tf_bdecay.data import evaluation_batches, training_batches
from tf_bdecay.data.order import epoch_order
from tf_bdecay.data.pictures import stream
from tf_bdecay.data.pictures.crops import crop_draws, evaluation_picture, training_picture
from tf_bdecay.data.pictures.picture_set import named_failures
from tf_bdecay.errors import BadInput

PICTURES = picture_set_of()
SEED = 5


def take(batches, count):
    return list(batches.take(count).as_numpy_iterator())


def standardised(picture):
    pixels = np.round(np.float64(picture)) / 255
    return (pixels - np.float64(PICTURES.mean)) / np.float64(PICTURES.deviation)


def expected_update(update, batch_size, remainder="drop"):
    """Batch number `update`, picture by picture."""
    count = len(PICTURES.train)
    per_epoch = count // batch_size + (remainder == "keep" and count % batch_size > 0)
    epoch, place = divmod(update, per_epoch)
    epoch = tf.constant(epoch, tf.int64)
    chosen = epoch_order(count, SEED, epoch).numpy()[place * batch_size : (place + 1) * batch_size]
    pictures = []
    for i in chosen:
        uniforms, flip = crop_draws(SEED, epoch, tf.constant(i))
        found = training_picture(PICTURES.train.records.contents[i], uniforms, PICTURES.size)
        pictures.append(standardised(found[:, ::-1] if flip else found))
    return np.stack(pictures), chosen


@pytest.mark.parametrize("remainder", ["drop", "keep"])
@pytest.mark.parametrize("start", [0, 2, 4])
@pytest.mark.quick_rows(2)
def test_every_batch_is_that_of_seed_epoch_and_index_wherever_the_stream_starts(remainder, start):
    batches = training_batches(PICTURES, 4, SEED, start, remainder)
    for update, (x, y) in enumerate(take(batches, 4), start):
        x_expected, y_expected = expected_update(update, 4, remainder)
        np.testing.assert_array_equal(y, y_expected)
        np.testing.assert_allclose(x, x_expected, atol=1e-5)


@pytest.mark.parametrize("remainder", ["drop", "keep"])
def test_the_parts_of_workers_make_up_the_batch(remainder):
    whole = take(training_batches(PICTURES, 4, SEED, 1, remainder), 3)
    parts = [
        take(training_batches(PICTURES, 4, SEED, 1, remainder, part=(i, 3)), 3) for i in range(3)
    ]
    for update, (x, y) in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[update][1] for part in parts]), y)
        np.testing.assert_array_equal(np.concatenate([part[update][0] for part in parts]), x)


def test_batches_of_one_size_say_their_shape():
    x, y = training_batches(PICTURES, 4, SEED).element_spec
    assert (x.shape.as_list(), y.shape.as_list()) == ([4, 24, 24, 3], [4])
    x, _ = evaluation_batches(PICTURES, "test", 7).element_spec
    assert x.shape.as_list() == [7, 24, 24, 3]


@pytest.mark.parametrize("batch_size, part", [(3, None), (7, None), (4, (0, 2)), (4, (1, 2))])
def test_evaluation_has_the_middle_of_every_picture_once(batch_size, part):
    batches = evaluation_batches(PICTURES, "test", batch_size, part)
    found = list(batches.as_numpy_iterator())
    assert len(found) == batches.cardinality() == -(-7 // batch_size)
    index, count = part or (0, 1)
    wanted = [
        i
        for start in range(0, 7, batch_size)
        for size in [min(batch_size, 7 - start)]
        for i in range(start + size * index // count, start + size * (index + 1) // count)
    ]
    np.testing.assert_array_equal(np.concatenate([y for _, y in found]), np.array(wanted) + 11)
    contents = PICTURES.test.records.contents
    expected = [standardised(evaluation_picture(contents[i], 28, 24)) for i in wanted]
    np.testing.assert_allclose(np.concatenate([x for x, _ in found]), expected, atol=1e-5)


def test_some_middles_in_memory():
    x = stream.chosen_images(PICTURES, PICTURES.test, [5, 0])
    contents = PICTURES.test.records.contents
    expected = [standardised(evaluation_picture(contents[i], 28, 24)) for i in (5, 0)]
    np.testing.assert_allclose(x, expected, atol=1e-5)


def test_without_augmentation_training_sees_middles():
    ((x, y),) = take(training_batches(PICTURES, 4, SEED, augment=False), 1)
    contents = PICTURES.train.records.contents
    expected = [standardised(evaluation_picture(contents[i], 28, 24)) for i in y]
    np.testing.assert_allclose(x, expected, atol=1e-5)


def test_without_flips_no_picture_is_mirrored():
    """All of each picture, so that flips are what draws could change."""
    whole = picture_set_of(least_area=1.0, flip=False)
    first, other = (take(training_batches(whole, 11, SEED, start), 1)[0] for start in (0, 1))
    np.testing.assert_array_equal(first[0][first[1].argsort()], other[0][other[1].argsort()])
    flipped = picture_set_of(least_area=1.0)
    x, y = take(training_batches(flipped, 11, SEED), 1)[0]
    mirrored = (x[y.argsort()] != first[0][first[1].argsort()]).any((1, 2, 3))
    assert 0 < mirrored.sum() < 11


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "memory/3 is empty"),
        (b"no picture at all, but text", "memory/3 is no picture"),
        ("cut", "memory/3 is cut short or damaged"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named(content, says):
    images = picture_set_of()
    contents = images.train.records.contents
    contents[3] = contents[3][:500] if content == "cut" else content
    with pytest.raises(BadInput, match=says), named_failures(images):
        take(training_batches(images, 11, SEED), 1)


def test_damage_that_tensorflow_alone_finds_is_named():
    """Its header and end are whole; its quantization tables are called comments."""
    images = picture_set_of()
    contents = images.train.records.contents
    contents[3] = contents[3].replace(b"\xff\xdb", b"\xff\xfe")
    with pytest.raises(BadInput, match="memory/3 is"), named_failures(images):
        take(training_batches(images, 11, SEED), 1)


@pytest.mark.parametrize("images", [PICTURES, image_set_of(4)], ids=["pictures", "in memory"])
@pytest.mark.parametrize(
    "error", [KeyError("an image"), tf.errors.ResourceExhaustedError(None, None, "JPEG")]
)
def test_other_errors_stay_what_they_are(images, error):
    with pytest.raises(type(error)) as caught, named_failures(images):
        raise error
    assert caught.value is error
