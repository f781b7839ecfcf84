"""Crops follow torchvision's definition in plain Python, and have Pillow's pixels."""

import io
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tf_bdecay.data.pictures import crops
from tf_bdecay.errors import BadInput

DRAWS = 20_000
LOG = math.log(4 / 3)


def box_of(height, width, uniforms, area=crops.AREA, aspect=crops.ASPECT):
    """RandomResizedCrop as torchvision writes it, of given numbers."""
    for share, ratio, row, column in uniforms:
        target = height * width * (area[0] + (area[1] - area[0]) * share)
        low, high = math.log(aspect[0]), math.log(aspect[1])
        r = math.exp(low + (high - low) * ratio)
        w, h = round(math.sqrt(target * r)), round(math.sqrt(target / r))
        if 0 < w <= width and 0 < h <= height:
            return math.floor(row * (height - h + 1)), math.floor(column * (width - w + 1)), h, w
    w, h = width, height
    if width / height < min(aspect):
        h = round(w / min(aspect))
    elif width / height > max(aspect):
        w = round(h * max(aspect))
    return (height - h) // 2, (width - w) // 2, h, w


@settings(max_examples=60)
@given(
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    seed=st.integers(0, 2**32 - 1),
    area=st.sampled_from([crops.AREA, (0.5, 0.6), (1.0, 1.0)]),
)
def test_a_box_is_that_of_the_definition(height, width, seed, area):
    uniforms = np.random.default_rng(seed).random((3, crops.TRIES, 4))
    found = crops.random_box(height, width, tf.constant(uniforms), area).numpy()
    assert found.tolist() == [list(box_of(height, width, u, area)) for u in uniforms]
    assert (found[:, :2] >= 0).all() and (found[:, 2:] >= 1).all()
    assert (found[:, :2] + found[:, 2:] <= (height, width)).all()


@pytest.mark.parametrize(
    "size, middle",
    [
        ((100, 30), (30, 0, 40, 30)),
        ((30, 100), (0, 30, 30, 40)),
        ((1, 9), (0, 4, 1, 1)),
        ((30, 36), (0, 0, 30, 36)),
    ],
)
def test_where_no_try_fits_it_is_the_middle(size, middle):
    uniforms = tf.fill([crops.TRIES, 4], tf.constant(0.999, tf.float64))
    assert tuple(crops.random_box(*size, uniforms, area=(1.0, 1.0)).numpy()) == middle


def boxes(side=4000, **ranges):
    uniforms = np.random.default_rng(0).random((DRAWS, crops.TRIES, 4))
    return crops.random_box(side, side, tf.constant(uniforms), **ranges).numpy().T


def distance(values, distribution):
    """Kolmogorov's, times the root of the number: above 1.63 for one sample of a hundred."""
    values = np.sort(values)
    steps = np.arange(len(values) + 1) / len(values)
    expected = distribution(values)
    worst = max(np.abs(steps[1:] - expected).max(), np.abs(steps[:-1] - expected).max())
    return worst * math.sqrt(len(values))


# A try on a square fits where its area is at most 1 / max(r, 1 / r), |log r| uniform in [0, LOG]:
# that is a share min(1, -log(area) / LOG) of the tries of an area. Integrated from 0.08 on:


def area_distribution(area):
    def fits(a):
        late = (a - a * np.log(a) - 0.75 * (1 + LOG)) / LOG
        return np.where(a < 0.75, a - 0.08, 0.75 - 0.08 + late)

    return fits(np.asarray(area)) / fits(1.0)


def aspect_distribution(aspect):
    def fits(u):  # the integral of exp(-|u|) - 0.08 from 0 on
        return np.sign(u) * (1 - np.exp(-np.abs(u)) - 0.08 * np.abs(u))

    return 0.5 + fits(np.log(aspect)) / (2 * fits(LOG))


@pytest.mark.parametrize(
    "ranges, right",
    [
        ({}, True),
        ({"area": (0.1, 1.0)}, False),
        ({"area": (0.08, 0.95)}, False),
        ({"aspect": (0.8, 1.25)}, False),
        ({"aspect": (0.75, 1.25)}, False),
    ],
    ids=str,
)
def test_areas_and_aspects_have_their_distribution(ranges, right):
    _, _, rows, columns = boxes(**ranges)
    area, aspect = rows * columns / 4000**2, columns / rows
    # Few large ones fit, so that their end shows in the largest alone.
    whole = area.min() < 0.081 and area.max() > 0.985
    distances = distance(area, area_distribution), distance(aspect, aspect_distribution)
    assert (whole and max(distances) < 1.63) == right


def test_boxes_that_always_fit_are_uniform_in_every_number():
    top, left, rows, columns = boxes(area=(0.08, 0.5))
    for values in (
        (rows * columns / 4000**2 - 0.08) / 0.42,
        (np.log(columns / rows) + LOG) / (2 * LOG),
        (top + 0.5) / (4001 - rows),
        (left + 0.5) / (4001 - columns),
    ):
        assert distance(values, lambda x: x) < 1.63
    assert np.abs(np.corrcoef([rows * columns, columns / rows, top, left])[0, 1:]).max() < 0.45


def test_draws_are_of_seed_epoch_and_index_alone():
    def draw(seed, epoch, index):
        uniforms, flip = crops.crop_draws(seed, tf.constant(epoch, tf.int64), index)
        return uniforms.numpy(), bool(flip)

    one = draw(0, 3, 7)
    np.testing.assert_array_equal(one[0], draw(0, 3, 7)[0])
    for other in ((1, 3, 7), (0, 4, 7), (0, 3, 8)):
        assert not np.any(one[0] == draw(*other)[0])
    made = tf.data.Dataset.range(1000).map(
        lambda i: crops.crop_draws(0, tf.constant(0, tf.int64), i)
    )
    uniforms, flips = map(np.array, zip(*made.as_numpy_iterator(), strict=True))
    assert distance(uniforms[:, 0].ravel(), lambda x: x) < 1.63
    assert abs(flips.mean() - 0.5) < 4 * 0.5 / math.sqrt(1000)


def picture(height, width, seed=0):
    """Blobs of colour with noise on them, [height, width, 3]."""
    draw = np.random.default_rng(seed)
    blobs = draw.integers(0, 256, (height // 9 + 2, width // 9 + 2, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(blobs).resize((width, height), Image.BICUBIC), float)
    return np.clip(smooth + draw.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def coded(image, how="JPEG", **options):
    """The bytes of a picture, and its pixels as Pillow decodes them."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, how, **options)
    return file.getvalue(), Image.open(io.BytesIO(file.getvalue())).convert("RGB")


@pytest.mark.parametrize(
    "how, options",
    [
        ("JPEG", {"subsampling": 0}),
        ("JPEG", {"subsampling": 1}),
        ("JPEG", {"subsampling": 2, "quality": 60}),
        ("JPEG", {"subsampling": 2, "progressive": True}),
        ("PNG", {}),
    ],
    ids=str,
)
def test_a_part_of_a_picture_has_the_pixels_that_pillow_finds_there(how, options):
    draw = np.random.default_rng(0)
    for height, width in ((61, 47), (40, 130), (5, 3)):
        content, whole = coded(picture(height, width), how, **options)
        for _ in range(6):
            rows, columns = draw.integers(1, height + 1), draw.integers(1, width + 1)
            top, left = draw.integers(0, height - rows + 1), draw.integers(0, width - columns + 1)
            box = tf.constant([top, left, rows, columns], tf.int32)
            found = crops.decode_box(content, lambda h, w, box=box: box)
            expected = np.asarray(whole)[top : top + rows, left : left + columns]
            # Another release of the decoder may round otherwise.
            assert np.abs(found.numpy().astype(int) - expected).max() <= 1


def test_grey_pictures_have_three_channels():
    content, whole = coded(picture(20, 30)[..., 0])
    found = crops.decode_box(content, lambda h, w: tf.stack([0, 0, h, w]))
    np.testing.assert_array_equal(found, np.asarray(whole))


@pytest.mark.parametrize("size", [(300, 200), (90, 140), (1, 50)])
def test_training_pictures_are_those_of_pillow(size):
    content, whole = coded(picture(*size), quality=90)
    for index in range(4):
        uniforms, _ = crops.crop_draws(0, tf.constant(1, tf.int64), index)
        top, left, rows, columns = box_of(*size, uniforms.numpy())
        cut = whole.crop((left, top, left + columns, top + rows))
        expected = np.asarray(cut.resize((64, 64), Image.BILINEAR), float)
        found = crops.training_picture(content, uniforms, 64).numpy()
        # Pillow rounds twice, after each axis.
        assert np.abs(found - expected).max() < 1.1
    assert found.shape == (64, 64, 3) and found.dtype == np.float32


@pytest.mark.parametrize("size", [(375, 500), (500, 334), (256, 259), (60, 47), (300, 1000)])
def test_evaluation_pictures_are_those_of_pillow(size):
    content, whole = coded(picture(*size), quality=90)
    height, width = size
    longer = int(256 * max(size) / min(size))
    rows, columns = (256, longer) if height <= width else (longer, 256)
    top, left = round((rows - 224) / 2), round((columns - 224) / 2)
    resized = whole.resize((columns, rows), Image.BILINEAR)
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224)), float)
    found = crops.evaluation_picture(content).numpy()
    assert found.shape == (224, 224, 3) and found.dtype == np.float32
    assert np.abs(found - expected).max() < 1.1


@pytest.mark.parametrize("flip", [False, True])
def test_a_picture_is_mirrored_left_to_right_where_told_to(flip):
    pixels = picture(5, 7)
    found = crops.mirrored(tf.constant(pixels), tf.constant(flip))
    np.testing.assert_array_equal(found, pixels[:, ::-1] if flip else pixels)


def bilinear(pixels, rows, columns):
    """Each new pixel from the four that are nearest to its centre, in plain NumPy."""
    height, width = pixels.shape[:2]
    y = np.clip((np.arange(rows) + 0.5) * height / rows - 0.5, 0, height - 1)
    x = np.clip((np.arange(columns) + 0.5) * width / columns - 0.5, 0, width - 1)
    top, left = (np.minimum(np.floor(p).astype(int), n - 1) for p, n in ((y, height), (x, width)))
    below, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    across, down = (x - left)[None, :, None], (y - top)[:, None, None]
    upper = pixels[top][:, left] * (1 - across) + pixels[top][:, right] * across
    lower = pixels[below][:, left] * (1 - across) + pixels[below][:, right] * across
    return upper * (1 - down) + lower * down


@pytest.mark.parametrize("size", [(300, 200), (90, 140), (40, 30)])
def test_without_antialiasing_a_pixel_is_of_its_four_nearest(size):
    content, whole = coded(picture(*size), "PNG")
    uniforms, _ = crops.crop_draws(0, tf.constant(1, tf.int64), 0)
    top, left, rows, columns = box_of(*size, uniforms.numpy())
    part = np.asarray(whole, float)[top : top + rows, left : left + columns]
    found = crops.training_picture(content, uniforms, 64, antialias=False).numpy()
    np.testing.assert_allclose(found, bilinear(part, 64, 64), atol=0.02)
    found = crops.evaluation_picture(content, 64, 48, antialias=False).numpy()
    tall, wide = (64 * n // min(size) for n in size)
    expected = bilinear(np.asarray(whole, float), tall, wide)
    top, left = round((tall - 48) / 2), round((wide - 48) / 2)
    np.testing.assert_allclose(found, expected[top : top + 48, left : left + 48], atol=0.02)


@pytest.mark.parametrize("size", [(300, 200), (91, 140), (40, 30), (64, 2), (1, 1)])
def test_an_antialiased_picture_is_what_tensorflow_makes_of_it(size):
    content, whole = coded(picture(*size), "PNG")
    uniforms, _ = crops.crop_draws(0, tf.constant(1, tf.int64), 0)
    top, left, rows, columns = box_of(*size, uniforms.numpy())
    part = np.asarray(whole)[top : top + rows, left : left + columns]
    expected = tf.image.resize(part, [64, 64], antialias=True)
    found = crops.training_picture(content, uniforms, 64)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    tall, wide = (64 * n // min(size) for n in size)
    expected = tf.image.resize(np.asarray(whole), [tall, wide], antialias=True)
    top, left = round((tall - 48) / 2), round((wide - 48) / 2)
    found = crops.evaluation_picture(content, 64, 48)
    np.testing.assert_allclose(found, expected[top : top + 48, left : left + 48], atol=1e-3)


def test_pictures_of_all_sizes_and_codings_make_one_batch():
    contents = [
        coded(picture(20, 31))[0],
        coded(picture(50, 12), "PNG")[0],
        coded(picture(9, 9))[0],
    ]

    def make(index, content):
        uniforms, _ = crops.crop_draws(0, tf.constant(0, tf.int64), index)
        return crops.training_picture(content, uniforms, 16), crops.evaluation_picture(
            content, 18, 16
        )

    made = tf.data.Dataset.from_tensor_slices(contents).enumerate().map(make).batch(3)
    assert made.element_spec[0].shape == (None, 16, 16, 3)
    training, evaluation = next(iter(made))
    assert training.shape == evaluation.shape == (3, 16, 16, 3)
    assert tf.reduce_min(training) >= 0 and tf.reduce_max(training) <= 255.001


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: crops.evaluation_picture(b"", 200, 224), "at most `shorter`.*200.*size=224"),
        (lambda: crops.evaluation_picture(b"", 256, 0), "size=0"),
        (lambda: crops.training_picture(b"", None, 2.5), "size=2.5"),
        (lambda: boxes(area=(0.0, 1.0)), r"`area` must be.*0 < least <= most <= 1.*\(0.0, 1.0\)"),
        (lambda: boxes(area=(0.5, 1.5)), "area="),
        (lambda: boxes(aspect=(2.0, 1.0)), r"`aspect` must be .least, most. with.*\(2.0, 1.0\)"),
        (lambda: boxes(aspect=(1.0, math.inf)), "aspect="),
    ],
)
def test_sizes_and_ranges_that_are_none_are_refused(call, sentence):
    with pytest.raises(BadInput, match=sentence):
        call()


def test_no_picture_is_cropped_in_an_epoch_as_another_in_another():
    found = {}
    for seed, epoch, index in itertools.product((0, 1), range(6), range(6)):
        numbers = (tf.constant(n, tf.int64) for n in (epoch, index))
        uniforms, _ = crops.crop_draws(seed, *numbers)
        found[seed, epoch, index] = uniforms.numpy().tobytes()
    assert len(set(found.values())) == len(found) == 72
