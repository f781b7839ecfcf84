"""VGG for small images (Simonyan and Zisserman, 2015), with one dense layer."""

import keras
from keras import layers

from tf_bdecay.models.blocks import CHANNELS, Builder, check_shapes

# Convolutions of each stage; a stage ends in a pool. Channels: width times 1, 2, 4, 8, 8.
CONVOLUTIONS = {"vgg11": (1, 1, 2, 2, 2), "vgg19_bn": (2, 2, 4, 4, 4)}
FACTORS = (1, 2, 4, 8, 8)


def vgg11(
    num_classes=10,
    width=64,
    input_shape=(32, 32, 3),
    normalization=None,
    *,
    name="vgg11",
    **options,
) -> keras.Model:
    """VGG11 without normalization: eight 3x3 convolutions with biases, one dense layer.

    A 2x2 pool ends each of the five stages, except where the image has become too small for one;
    what is left of the image is averaged. There are 9,225,610 trainable parameters at 10 classes
    and width 64. Kernels of convolutions start He normal by fan-out, biases at 0.

    Args:
        num_classes: int >= 2.
        width: int >= 1, channels of the first stage.
        input_shape: ints (height, width, channels).
        normalization: None or "none" for biases instead of it, "ghost", "batch" (statistics of the
            whole batch), or a function of `name`, `center` and `scale` that makes a layer, such as
            `keras.layers.LayerNormalization`.
        name: str, the model's name.
        **options: as in `tf_bdecay.models.Options`.

    Returns:
        A functional `keras.Model` from images [batch, height, width, channels] to logits
        [batch, num_classes], float32 under a mixed precision policy too.

    Raises:
        BadInput: an argument out of range, or one that would have no effect.
    """
    return _vgg("vgg11", num_classes, width, input_shape, normalization, name, options)


def vgg19_bn(
    num_classes=10,
    width=64,
    input_shape=(32, 32, 3),
    normalization="ghost",
    *,
    name="vgg19_bn",
    **options,
) -> keras.Model:
    """VGG19 with normalization: sixteen 3x3 convolutions without biases, one dense layer.

    There are 20,035,018 trainable parameters at 10 classes and width 64. Pools, initial values and
    arguments are as in `vgg11`, except that normalization is "ghost" by default; with "none" this
    is VGG19, with biases.

    Args:
        num_classes: int >= 2.
        width: int >= 1, channels of the first stage.
        input_shape: ints (height, width, channels).
        normalization: as in `vgg11`.
        name: str, the model's name.
        **options: as in `tf_bdecay.models.Options`.

    Returns:
        A functional `keras.Model`, as `vgg11`.

    Raises:
        BadInput: an argument out of range, or one that would have no effect.
    """
    return _vgg("vgg19_bn", num_classes, width, input_shape, normalization, name, options)


def _vgg(model, num_classes, width, input_shape, normalization, name, options):
    shape = check_shapes(model, num_classes, width, input_shape)
    build = Builder(model, normalization, **options)
    x = inputs = keras.Input(shape, name="image")
    plan = zip(CONVOLUTIONS[model], FACTORS, strict=True)
    for stage, (convolutions, factor) in enumerate(plan, 1):
        for i in range(1, convolutions + 1):
            x = build.convolve(x, f"stage{stage}_conv{i}", width * factor)
            x = build.normalize(x, f"stage{stage}_bn{i}")
            x = layers.ReLU(name=f"stage{stage}_relu{i}")(x)
        if min(x.shape[1:3]) >= 2:
            x = layers.MaxPooling2D(2, data_format=CHANNELS, name=f"stage{stage}_pool")(x)
    return keras.Model(inputs, build.classify(x, num_classes), name=name)
