"""Crops of pictures of any size: random and resized for training, the middle for evaluation.

RandomResizedCrop (Szegedy et al., 2015, with torchvision's numbers): a share of the picture's area,
uniform in 8 to 100 %, of an aspect whose logarithm is uniform in 3/4 to 4/3; ten tries at a box
that fits, then the middle. Evaluation: the shorter side to 256, then 224 x 224 from the middle.

Resizing is bilinear and antialiased, as Pillow's `BILINEAR`: where pixels become fewer, each is a
mean over all that it covers. JPEGs are decoded by the accurate integer transform, to Pillow's
pixels. Pictures are taken as they are stored: EXIF's orientation is not looked at.
"""

import math

import tensorflow as tf

from tf_bdecay.data.order import ALGORITHM, CROP, fold_in, key
from tf_bdecay.data.pictures.picture_set import AREA
from tf_bdecay.errors import check_count, require

ASPECT = (3 / 4, 4 / 3)  # width over height
TRIES = 10
_ACCURATE = "INTEGER_ACCURATE"  # TensorFlow's own choice is up to 11 of 255 off
# Where colour has fewer pixels than brightness, a JPEG's decoder looks at those around.
_MARGIN = 4


def crop_draws(seed, epoch, index):
    """The numbers from which an epoch makes the crop of an example, and whether it is mirrored.

    Args:
        seed: int.
        epoch: int64 scalar.
        index: int64 scalar, of the example.

    Returns:
        (uniforms, flip): float64 [10, 4] in [0, 1), for `random_box`; a bool scalar.
    """
    own = fold_in(key(seed, epoch, CROP), index)
    numbers = tf.random.stateless_uniform([TRIES * 4 + 1], own, dtype=tf.float64, alg=ALGORITHM)
    return tf.reshape(numbers[:-1], [TRIES, 4]), numbers[-1] < 0.5


def random_box(height, width, uniforms, area=AREA, aspect=ASPECT):
    """The first try that fits into a picture, or its middle where none does.

    A try has width round(sqrt(s r h w)) and height round(sqrt(s h w / r)); s is uniform in `area`,
    log r in the logarithms of `aspect`, the place where it fits. The middle is all of the picture,
    or as much as `aspect` allows.

    Args:
        height, width: int scalars.
        uniforms: float64 [..., tries, 4] in [0, 1): for s, r, row and column of each try.
        area: (least, most) share of the picture's area, 0 < least <= most <= 1.
        aspect: (least, most) width over height, 0 < least <= most.

    Returns:
        int32 [..., 4]: top, left, height, width.

    Raises:
        BadInput: a range that is not 0 < least <= most.
    """
    _check_range("area", area, most=1.0)
    _check_range("aspect", aspect)
    height, width = tf.cast(height, tf.float64), tf.cast(width, tf.float64)
    low, high = math.log(aspect[0]), math.log(aspect[1])
    share = area[0] + (area[1] - area[0]) * uniforms[..., 0]
    ratio = tf.exp(low + (high - low) * uniforms[..., 1])
    rows = tf.round(tf.sqrt(share * height * width / ratio))
    columns = tf.round(tf.sqrt(share * height * width * ratio))
    tops = tf.floor(uniforms[..., 2] * (height - rows + 1))
    lefts = tf.floor(uniforms[..., 3] * (width - columns + 1))
    fits = (rows >= 1) & (columns >= 1) & (rows <= height) & (columns <= width)

    # After all tries, the middle; it is the first that fits where no other does.
    middle = tf.broadcast_to(_middle(height, width, aspect), [*tf.unstack(tf.shape(fits)[:-1]), 4])
    boxes = tf.stack([tops, lefts, rows, columns], -1)
    boxes = tf.concat([boxes, middle[..., tf.newaxis, :]], -2)
    places = tf.range(tf.shape(fits)[-1])
    first = tf.reduce_min(tf.where(fits, places, tf.size(places)), -1)
    chosen = tf.gather(boxes, first, axis=-2, batch_dims=len(uniforms.shape) - 2)
    return tf.cast(chosen, tf.int32)


def _middle(height, width, aspect):
    """The largest box in the middle of a picture whose aspect is in a range."""
    rows = tf.where(width / height < aspect[0], tf.round(width / aspect[0]), height)
    columns = tf.where(width / height > aspect[1], tf.round(height * aspect[1]), width)
    return tf.stack([(height - rows) // 2, (width - columns) // 2, rows, columns])


def decode_box(content, choose):
    """Pixels of a part of a picture; of a JPEG that part alone is decoded.

    Args:
        content: string scalar, the bytes of a JPEG, PNG, GIF (its first picture) or BMP.
        choose: function of int32 scalars (height, width) to a box as of `random_box`.

    Returns:
        uint8 [height, width, 3] of the box: the pixels that the whole picture has there.
    """

    def of_jpeg():
        height, width = tf.unstack(tf.image.extract_jpeg_shape(content)[:2])
        top, left, rows, columns = tf.unstack(choose(height, width))
        above, before = tf.minimum(top, _MARGIN), tf.minimum(left, _MARGIN)
        wide = [
            top - above,
            left - before,
            tf.minimum(top + rows + _MARGIN, height) - top + above,
            tf.minimum(left + columns + _MARGIN, width) - left + before,
        ]
        pixels = tf.image.decode_and_crop_jpeg(content, wide, channels=3, dct_method=_ACCURATE)
        return pixels[above : above + rows, before : before + columns]

    def of_another():
        pixels = tf.io.decode_image(content, channels=3, expand_animations=False)
        height, width = tf.unstack(tf.shape(pixels)[:2])
        top, left, rows, columns = tf.unstack(choose(height, width))
        return pixels[top : top + rows, left : left + columns]

    pixels = tf.cond(tf.io.is_jpeg(content), of_jpeg, of_another)
    return tf.ensure_shape(pixels, [None, None, 3])


def training_picture(content, uniforms, size=224, area=AREA, antialias=True):
    """A random part of a picture, resized to a square.

    Args:
        content: string scalar, as of `decode_box`.
        uniforms: as of `crop_draws`.
        size: pixels a side.
        area: as in `random_box`.
        antialias: as in `evaluation_picture`.

    Returns:
        float32 [size, size, 3], from 0 to 255.

    Raises:
        BadInput: a size that is no whole number >= 1, or a range that is not 0 < least <=
            most.
    """
    check_count("size", size)
    pixels = decode_box(content, lambda h, w: random_box(h, w, uniforms, area))
    if antialias:
        sides = tf.cast(tf.shape(pixels)[:2], tf.float32)
        return _shrunk(pixels, size, tf.cast(size, tf.float32) / sides, tf.zeros(2))
    return tf.image.resize(pixels, [size, size], "bilinear")


def mirrored(picture, flip):
    """A picture, mirrored left to right where told to.

    Args:
        picture: [height, width, channels].
        flip: bool scalar, as of `crop_draws`.

    Returns:
        A tensor like `picture`.
    """
    # To choose from both by `tf.where` takes as long as all the rest.
    return tf.raw_ops.Reverse(tensor=picture, dims=tf.stack([False, flip, False]))


def evaluation_picture(content, shorter=256, size=224, antialias=True):
    """The middle of a picture whose shorter side is resized to `shorter`.

    The longer side becomes floor(shorter longer / shorter side); where an odd number of pixels is
    left out, the middle begins at the even one of the two places, as torchvision has it.

    Args:
        content: string scalar, as of `decode_box`.
        shorter: pixels of the shorter side.
        size: pixels a side of the square from the middle, at most `shorter`.
        antialias: whether a pixel of a picture that shrinks is a mean of all that it covers, or,
            faster, of the four nearest alone, as Keras' layers have it.

    Returns:
        float32 [size, size, 3], from 0 to 255.

    Raises:
        BadInput: a size that is no whole number >= 1, or larger than `shorter`.
    """
    check_count("size", size)
    check_count("shorter", shorter)
    require(
        size <= shorter,
        f"`size` must be at most `shorter`, the pixels of the shorter side, {shorter}. Received: "
        f"size={size}",
    )
    pixels = decode_box(content, lambda h, w: tf.stack([0, 0, h, w]))
    sides = tf.cast(tf.shape(pixels)[:2], tf.int64)
    resized = shorter * sides // tf.reduce_min(sides)
    first = tf.round(tf.cast(resized - size, tf.float64) / 2)
    # All of the resized picture is not made: its middle alone.
    scales, first = tf.cast(resized / sides, tf.float32), tf.cast(first, tf.float32)
    return _shrunk(pixels, size, scales, -first, antialias)


def _shrunk(pixels, size, scales, translations, antialias=True):
    """A square of a resized picture, the one that `ScaleAndTranslate` makes of it.

    That operation resizes columns, then rows. For rows it works on three numbers at a time, the
    channels of a pixel. Here it resizes columns twice, the second time of the picture on its side,
    and works on whole rows of numbers: the resizing takes half the time.

    Args:
        pixels: uint8 [height, width, 3].
        size: pixels a side of the square.
        scales, translations: float32 [2], by rows and columns, of `ScaleAndTranslate`.
        antialias: as in `evaluation_picture`.

    Returns:
        float32 [size, size, 3].
    """
    for side in range(2):
        height, width = tf.unstack(tf.shape(pixels)[:2])
        made = tf.raw_ops.ScaleAndTranslate(
            images=tf.reshape(pixels, [1, height, 1, 3 * width]),
            size=[size, 1],
            scale=tf.stack([scales[side], 1.0]),
            translation=tf.stack([translations[side], 0.0]),
            kernel_type="triangle",
            antialias=antialias,
        )
        pixels = tf.transpose(tf.reshape(made, [size, width, 3]), [1, 0, 2])
    return tf.ensure_shape(pixels, [size, size, 3])


def _check_range(name, limits, most=math.inf):
    low, high = limits
    upper = f" <= {most:g}" if most < math.inf else ""
    require(
        0 < low <= high <= most and math.isfinite(high),
        f"`{name}` must be (least, most) with 0 < least <= most{upper}. Received: {name}={limits}",
    )
