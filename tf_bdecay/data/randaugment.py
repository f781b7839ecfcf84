"""RandAugment (Cubuk et al., 2020): a few random operations on a picture.

The pixels are keras-cv's: the ten operations of `keras_cv.layers.RandAugment`, as its layers
compute them. The draws are ours, from the same distributions: those layers draw from generators
with a state and from TensorFlow's unseeded operations, so no run could resume to the same bits.
"""

import functools

import tensorflow as tf

from tf_bdecay.data.order import ALGORITHM, OPERATIONS, fold_in, key

# From keras_cv.layers.RandAugment: the share of operations that are done, the standard deviation of
# a magnitude, and the most that Solarization adds, beyond which little is left of a picture.
RATE, DEVIATION, MOST_ADDED = 10 / 11, 0.15, 110.0
_RANGE = (0, 255)


def operation_draws(seed, epoch, index, operations):
    """Draws the numbers for an epoch's operations on a picture.

    Args:
        seed: int.
        epoch: int64 scalar.
        index: int64 scalar, of the example.
        operations: N, how many there are.

    Returns:
        float64 [N, 5] in [0, 1), for `randaugment`.
    """
    own = fold_in(key(seed, epoch, OPERATIONS), index)
    return tf.random.stateless_uniform([operations, 5], own, dtype=tf.float64, alg=ALGORITHM)


def randaugment(picture, uniforms, magnitude):
    """Applies operations to a picture, one after the other.

    An operation is left out in one of eleven cases; otherwise it is one of ten, with equal chances.
    With magnitude m, z and z' normal with standard deviation 0.15, and u uniform in [-1, 1),

        auto contrast, equalization
        solarization    110 s(z) is added, then what is at least 255 - 255 s(z') is inverted
        colour          a share of s(z) is replaced by the picture in grey
        contrast        differences from the mean times 1 + m u
        brightness      plus 255 m u
        shears (x, y)   by s(z) or -s(z)
        shifts (x, y)   by m u of the side

    where s(z) is m + z, clipped to [0, 1].

    Args:
        picture: uint8 [height, width, 3].
        uniforms: float64 [N, 5] in [0, 1), from `operation_draws`.
        magnitude: m, in [0, 1].

    Returns:
        A tensor like `picture`.
    """
    shape = picture.shape
    pixels = tf.cast(picture, tf.float32)[tf.newaxis]
    for numbers in tf.unstack(uniforms):
        chosen = tf.cast(10 * numbers[1], tf.int32)
        branches = _operations(pixels, numbers[2:], magnitude)
        # An index beyond the last operation stands for none.
        chosen = tf.where(numbers[0] < RATE, chosen, len(branches))
        # Equalization needs whole numbers, as pictures have them.
        pixels = tf.round(
            tf.switch_case(chosen, [*branches, functools.partial(tf.identity, pixels)])
        )
        pixels = tf.ensure_shape(pixels, [1, *shape])
    return tf.cast(pixels[0], tf.uint8)


def randaugment_batch(pictures, seed, epoch, indices, strong):
    """`randaugment` of each picture of a batch.

    Args:
        pictures: uint8 [b, height, width, 3].
        seed: int.
        epoch: int64 scalar.
        indices: int64 [b], of the examples.
        strong: a `StrongAugmentation` whose `operations` is not None.

    Returns:
        A tensor like `pictures`.
    """

    def one(pair):
        picture, index = pair
        uniforms = operation_draws(seed, epoch, index, strong.operations)
        return randaugment(picture, uniforms, strong.magnitude)

    of_one = tf.TensorSpec(pictures.shape[1:], pictures.dtype)
    return tf.map_fn(one, (pictures, indices), fn_output_signature=of_one)


def _operations(pixels, numbers, magnitude):
    """The operations on pixels [1, height, width, 3] from 0 to 255: functions without arguments."""
    layers = _layers()
    numbers = tf.cast(numbers, tf.float64)
    normals = tf.cast(DEVIATION * tf.math.ndtri(numbers[:2]), tf.float32)
    first, second = tf.unstack(normals)
    u = tf.cast(2 * numbers[2] - 1, tf.float32)

    def strength(normal):
        return tf.clip_by_value(magnitude + normal, 0.0, 1.0)

    def by_picture(value):
        return tf.reshape(value, [1, 1, 1, 1])

    def sheared(axis):
        sign = tf.where(u < 0, -1.0, 1.0)
        shears = {"shear_x": None, "shear_y": None}
        shears[f"shear_{axis}"] = tf.reshape(sign * strength(first), [1, 1])
        return layers["shear"].augment_images(pixels, transformations=shears)

    def shifted(side):
        shifts = {f"{name}_translations": tf.zeros([1, 1]) for name in ("height", "width")}
        shifts[f"{side}_translations"] = tf.reshape(magnitude * u, [1, 1])
        return layers["shift"].augment_images(pixels, transformations=shifts)

    def of(name, transformations=None):
        return lambda: layers[name].augment_images(pixels, transformations=transformations)

    solarized = {
        "additions": by_picture(MOST_ADDED * strength(first)),
        "thresholds": by_picture(255 * (1 - strength(-second))),
    }
    return [
        of("auto contrast"),
        of("equalization"),
        of("solarization", solarized),
        of("colour", by_picture(strength(first))),
        of("contrast", by_picture(1 + magnitude * u)),
        of("brightness", by_picture(255 * magnitude * u)),
        functools.partial(sheared, "x"),
        functools.partial(sheared, "y"),
        functools.partial(shifted, "width"),
        functools.partial(shifted, "height"),
    ]


@functools.cache
def _layers():
    """keras-cv's layers by name; what they draw by themselves is not used."""
    from keras_cv import layers

    def made(name, *arguments):
        return getattr(layers, name)(*arguments, dtype="float32")

    with tf.init_scope():  # each has a generator with a state, which no graph may own
        try:
            tf.random.get_global_generator()
        except RuntimeError:  # op determinism requires a seed
            tf.random.set_global_generator(tf.random.Generator.from_seed(0))
        return {
            "auto contrast": made("AutoContrast", _RANGE),
            "equalization": made("Equalization", _RANGE),
            "solarization": made("Solarization", _RANGE),
            "colour": made("RandomColorDegeneration", 1.0),
            "contrast": made("RandomContrast", _RANGE, 1.0),
            "brightness": made("RandomBrightness", 1.0, _RANGE),
            "shear": made("RandomShear", 1.0, 1.0),
            "shift": made("RandomTranslation", 1.0, 1.0),
        }
