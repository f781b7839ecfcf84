"""ResNet18 for small images (He et al., 2016)."""

import keras
from keras import layers

from tf_bdecay.errors import require
from tf_bdecay.models.blocks import Builder, check_shapes

STAGES = 4
BLOCKS = 2


def resnet18(
    num_classes=10,
    width=64,
    input_shape=(32, 32, 3),
    normalization="ghost",
    *,
    zero_last_gamma=False,
    name="resnet18",
    **options,
):
    """ResNet18 with the CIFAR stem: one 3x3 convolution of stride 1, no pool.

    Four stages of two basic blocks with width, 2, 4 and 8 times width channels, strides 1, 2, 2, 2,
    and a 1x1 convolution with its own normalization where a shortcut changes shape. Padding is
    Keras' "same". 11,173,962 trainable parameters at 10 classes and width 64.

    Convolutions have no bias; their kernels start He normal by fan-out, the dense bias and betas at
    0, gammas at 1.
    The paper's frozen variants have the parameter left out, while the statistics still train:
    beta frozen is `center=False`, gamma frozen `scale=False`, BN frozen both.

    Args:
        num_classes: int >= 2.
        width: int >= 1, channels of the stem and the first stage.
        input_shape: ints (height, width, channels).
        normalization: "ghost", "batch" (statistics of the whole batch), or a function of `name`,
            `center`, `scale` and, with `zero_last_gamma`, `gamma_initializer` that makes a layer,
            such as `keras.layers.LayerNormalization`. Not "none": without normalization the
            residual sums grow, and this network is not initialised for it.
        zero_last_gamma: bool, whether the last gamma of each block starts at 0, so that the block
            starts as its shortcut. The paper does not say; off.
        name: str, the model's name.
        **options: as in `tf_bdecay.models.Options`.

    Returns:
        A functional `keras.Model` from images [batch, height, width, channels] to logits
        [batch, num_classes], float32 under a mixed precision policy too.

    Raises:
        BadInput: an argument out of range, or one that would have no effect.
    """
    shape = check_shapes("resnet18", num_classes, width, input_shape)
    build = Builder("resnet18", normalization, **options)
    require(
        build.normalizes,
        "resnet18 needs a normalization, as its residual sums would grow from block to block: use "
        f"'ghost', 'batch' or a function that makes a layer. Received: {normalization!r}",
    )
    require(
        build.options.scale or not zero_last_gamma,
        "`zero_last_gamma` of resnet18 needs a gamma: use scale=True, or leave it out. "
        "Received: zero_last_gamma=True, scale=False",
    )
    inputs = keras.Input(shape, name="image")
    x = build.convolve(inputs, "stem_conv", width)
    x = build.normalize(x, "stem_bn")
    x = layers.ReLU(name="stem_relu")(x)
    for stage in range(1, STAGES + 1):
        for block in range(1, BLOCKS + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            prefix = f"stage{stage}_block{block}"
            x = _basic_block(build, x, prefix, width * 2 ** (stage - 1), strides, zero_last_gamma)
    return keras.Model(inputs, build.classify(x, num_classes), name=name)


def _basic_block(build, x, prefix, channels, strides, zero_last_gamma):
    """Two 3x3 convolutions beside a shortcut, added before the last ReLU."""
    shortcut = x
    x = build.convolve(x, f"{prefix}_conv1", channels, strides=strides)
    x = build.normalize(x, f"{prefix}_bn1")
    x = layers.ReLU(name=f"{prefix}_relu1")(x)
    x = build.convolve(x, f"{prefix}_conv2", channels)
    x = build.normalize(x, f"{prefix}_bn2", zero_gamma=zero_last_gamma)
    if strides != 1 or shortcut.shape[-1] != channels:
        shortcut = build.convolve(shortcut, f"{prefix}_shortcut_conv", channels, 1, strides)
        shortcut = build.normalize(shortcut, f"{prefix}_shortcut_bn")
    x = layers.Add(name=f"{prefix}_add")([x, shortcut])
    return layers.ReLU(name=f"{prefix}_relu2")(x)
