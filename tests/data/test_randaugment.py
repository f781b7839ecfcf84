"""RandAugment: keras-cv's operations with our draws, compared with its layers and their draws."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.data.pictures.in_memory import jpeg, picture_set_of
from tests.data.sets import image_set_of
from tests.processes import ended
from tf_bdecay.data import training_batches
from tf_bdecay.data.randaugment import DEVIATION, RATE, operation_draws, randaugment
from tf_bdecay.data.strong_augmentation import StrongAugmentation

keras_cv = pytest.importorskip("keras_cv", reason="keras-cv is not installed")
layers = keras_cv.layers

SETS = {"in memory": image_set_of(11), "pictures": picture_set_of(11)}
STRONG = StrongAugmentation(operations=2, magnitude=0.4)
RANGE = (0, 255)
M, A, B, U = 0.4, 0.6, 0.3, 0.8  # the magnitude, and uniforms of a draw


def take(batches, count):
    return list(batches.take(count).as_numpy_iterator())


def picture(side=24):
    pixels = tf.io.decode_jpeg(jpeg(3), 3)
    return tf.cast(tf.round(tf.image.resize(pixels, [side, side + 4])), tf.uint8)


@functools.cache
def compiled():
    return tf.function(lambda p, u, m: randaugment(p, u, m))


def done(operation, uniforms=(A, B, U), pixels=None):
    """A picture after one operation, with these numbers."""
    numbers = tf.constant([[0.0, (operation + 0.5) / 10, *uniforms]], tf.float64)
    pixels = picture() if pixels is None else pixels
    return compiled()(pixels, numbers, tf.constant(M)).numpy()


def strength(uniform, m=M):
    return float(np.clip(m + DEVIATION * stats.norm.ppf(uniform), 0, 1))


def of_keras_cv(layer):
    pixels = layer(tf.cast(picture(), tf.float32)[tf.newaxis])[0]
    return np.round(pixels.numpy()).astype(np.uint8)


def constant(value):
    return keras_cv.core.ConstantFactorSampler(value)


CASES = {
    "auto contrast": (0, lambda: layers.AutoContrast(RANGE)),
    "equalization": (1, lambda: layers.Equalization(RANGE)),
    "solarization": (
        2,
        lambda: layers.Solarization(
            RANGE, constant(110 * strength(A)), constant(255 * strength(B, 1 - M))
        ),
    ),
    "colour": (3, lambda: layers.RandomColorDegeneration(constant(strength(A)))),
    "contrast": (4, lambda: layers.RandomContrast(RANGE, (-M * (2 * U - 1), M * (2 * U - 1)))),
    "brightness": (5, lambda: layers.RandomBrightness(constant(M * (2 * U - 1)))),
    "shift in x": (8, lambda: layers.RandomTranslation(0.0, (M * (2 * U - 1),) * 2)),
    "shift in y": (9, lambda: layers.RandomTranslation((M * (2 * U - 1),) * 2, 0.0)),
}


@pytest.mark.parametrize("operation, layer", CASES.values(), ids=CASES)
def test_an_operation_is_keras_cvs_layer_at_the_strength_drawn(operation, layer):
    ours, theirs = done(operation), of_keras_cv(layer())
    assert np.abs(ours.astype(int) - theirs).max() <= 1  # where rounding decides
    assert (ours == theirs).mean() > 0.99
    assert (ours != picture().numpy()).any()


@pytest.mark.parametrize("operation, axes", [(6, "x_factor"), (7, "y_factor")], ids="xy")
def test_shears_are_keras_cvs_to_both_sides(operation, axes):
    """Its layer draws the side by chance; what it has not, it is asked for again."""
    layer = layers.RandomShear(**{axes: constant(strength(A))})
    both = {of_keras_cv(layer).tobytes() for _ in range(30)}
    assert len(both) == 2
    ours = {done(operation, (A, B, u)).tobytes() for u in (0.2, 0.4, 0.6, 0.8)}
    assert ours == both


def test_one_of_eleven_operations_is_left_out():
    numbers = np.full([1, 5], 0.15)  # equalization
    for first, same in ((RATE - 1e-6, False), (RATE, True), (1 - 1e-9, True)):
        numbers[0, 0] = first
        found = compiled()(picture(), tf.constant(numbers), tf.constant(M)).numpy()
        assert (found == picture().numpy()).all() == same


def test_an_epoch_draws_for_each_picture_and_operation():
    draws = [
        operation_draws(seed, tf.constant(epoch, tf.int64), tf.constant(index, tf.int64), 3).numpy()
        for seed, epoch, index in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0))
    ]
    assert {d.shape for d in draws} == {(3, 5)} and len(np.unique(draws[:4])) == 60
    np.testing.assert_array_equal(draws[0], draws[-1])
    many = np.array(
        [operation_draws(0, tf.constant(0, tf.int64), tf.constant(i), 2) for i in range(400)]
    )
    assert stats.kstest(many.ravel(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("uniform", [0.0, 1 - 1e-12])
def test_numbers_at_the_ends_give_pictures(uniform):
    """A normal number of them is infinite; black pictures have no contrast."""
    for pixels in (picture(), tf.zeros_like(picture()), 255 + tf.zeros_like(picture())):
        for operation in range(10):
            found = done(operation, (uniform,) * 3, pixels)
            assert found.shape == pixels.shape and found.dtype == np.uint8


@pytest.mark.parametrize("images", SETS.values(), ids=SETS)
def test_batches_have_it_picture_by_picture_and_any_update_can_be_the_first(images):
    """Shape, type and range stay; one picture is varied otherwise than the next, and each epoch."""
    whole = take(training_batches(images, 4, 7, 0, "keep", strong=STRONG), 6)
    resumed = take(training_batches(images, 4, 7, 2, "keep", strong=STRONG), 4)
    plain = take(training_batches(images, 4, 7, 0, "keep"), 6)
    changed = []
    for (x, y), (before, label) in zip(whole, plain, strict=True):
        np.testing.assert_array_equal(y, label)
        assert x.shape == before.shape and x.dtype == before.dtype
        pixels = 255 * (x * np.float32(images.deviation) + np.float32(images.mean))
        np.testing.assert_allclose(pixels, np.clip(np.round(pixels), 0, 255), atol=1e-3)
        changed += list((x != before).any((1, 2, 3)))
    assert 0.8 < np.mean(changed) <= 1
    for update, batch in enumerate(resumed):
        for i, tensor in enumerate(batch):
            np.testing.assert_array_equal(tensor, whole[update + 2][i])


def test_each_picture_is_varied_by_itself():
    """Eleven copies of one picture, without crops: no two are alike, but for those left out."""
    copies = picture_set_of(11)
    contents = copies.train.records.contents
    contents[:] = [contents[0]] * len(contents)
    ((x, _),) = take(training_batches(copies, 11, 0, augment=False, strong=STRONG), 1)
    assert len({one.tobytes() for one in x}) > 8


DETERMINISTIC = """
import tensorflow as tf
tf.config.experimental.enable_op_determinism()
from tests.data.sets import image_set_of
from tf_bdecay.data import StrongAugmentation, training_batches
batches = training_batches(image_set_of(), 10, 0, strong=StrongAugmentation(2, mixup=1.0))
print("batch", next(iter(batches))[0].shape)
"""


@pytest.mark.slow
def test_it_works_where_operations_are_deterministic():
    """In a process of its own: keras-cv's layers ask for a generator without a seed."""
    done = ended(["-c", DETERMINISTIC], timeout=300)
    assert done.stdout.strip() == "batch (10, 6, 5, 3)", done.stderr


@pytest.mark.slow
def test_pictures_are_distributed_as_those_of_keras_cvs_own_layer():
    """Brightness, contrast, colour and place of a thousand pictures, and how many are unchanged."""
    count, m = 1000, 0.4
    pixels = picture(12)
    tf.random.set_global_generator(tf.random.Generator.from_seed(1))
    layer = layers.RandAugment(RANGE, augmentations_per_image=2, magnitude=m)
    copies = tf.data.Dataset.from_tensors(tf.cast(pixels, tf.float32)).repeat(count)
    theirs = np.round(np.stack(list(copies.map(layer).as_numpy_iterator())))
    zero = tf.constant(0, tf.int64)
    ours = tf.data.Dataset.range(count).map(
        lambda i: randaugment(pixels, operation_draws(0, zero, i, 2), m)
    )
    ours = np.float64(list(ours.as_numpy_iterator()))

    def statistics(pictures):
        mean = pictures.mean((1, 2, 3))
        light = pictures.sum(3) + 1
        rows, columns = (np.arange(light.shape[axis]) for axis in (1, 2))
        return {
            "brightness": mean,
            "contrast": pictures.std((1, 2, 3)),
            "colour": pictures[..., 0].mean((1, 2)) - pictures[..., 2].mean((1, 2)),
            "row": (light.sum(2) * rows).sum(1) / light.sum((1, 2)),
            "column": (light.sum(1) * columns).sum(1) / light.sum((1, 2)),
        }

    a, b = statistics(ours), statistics(theirs)
    for name in a:
        assert stats.ks_2samp(a[name], b[name]).pvalue > 1e-3, name
    same = [(found == pixels.numpy()).all((1, 2, 3)).sum() for found in (ours, theirs)]
    assert stats.fisher_exact([[n, count - n] for n in same]).pvalue > 1e-3
