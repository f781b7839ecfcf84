"""ResNet18 and ResNet50 (He et al., 2016), and ResNet50-D (He et al., 2019)."""

import numbers

import keras

from tf_bdecay.errors import require, unknown
from tf_bdecay.models.residual import (
    Design,
    basic_block,
    bottleneck,
    cifar_stem,
    deep_stem,
    imagenet_stem,
    residual_network,
)

STEMS = ("cifar", "imagenet")
_RESNET18 = {
    "cifar": Design("resnet18", (2, 2, 2, 2), basic_block, cifar_stem, padding="same"),
    "imagenet": Design("resnet18", (2, 2, 2, 2), basic_block, imagenet_stem),
}
_RESNET50 = Design("resnet50", (3, 4, 6, 3), bottleneck, imagenet_stem)
_RESNET50_D = Design("resnet50_d", (3, 4, 6, 3), bottleneck, deep_stem, pooled_shortcuts=True)


def resnet18(
    num_classes=10,
    width=64,
    input_shape=(32, 32, 3),
    normalization="ghost",
    *,
    stem="cifar",
    zero_last_gamma=False,
    name="resnet18",
    **options,
) -> keras.Model:
    """ResNet18: a stem, four stages of two basic blocks, the mean over positions, a dense layer.

    The stages have width, 2, 4 and 8 times width channels, strides 1, 2, 2, 2, and a 1x1
    convolution with its own normalization where a shortcut changes shape. There are 11,173,962
    trainable parameters at 10 classes and width 64 with the CIFAR stem, and 11,689,512 at 1,000
    classes with ImageNet's.

    Convolutions have no bias; their kernels start He normal by fan-out, the dense bias and betas at
    0, gammas at 1. The paper's frozen variants lack the parameter, while the statistics still
    train: beta frozen is `center=False`, gamma frozen is `scale=False`, BN frozen is both.

    Args:
        num_classes: int >= 2.
        width: int >= 1, channels of the stem and the first stage.
        input_shape: ints (height, width, channels).
        normalization: "ghost", "batch" (statistics of the whole batch), or a function of `name`,
            `center`, `scale` and, with `zero_last_gamma`, `gamma_initializer` that makes a layer,
            such as `keras.layers.LayerNormalization`. Not "none": without normalization the
            residual sums grow, and this network is not initialised for it.
        stem: "cifar", one 3x3 convolution of stride 1 without pooling, and Keras' "same" padding;
            or "imagenet", a 7x7 convolution of stride 2 and 3x3 max pooling of stride 2, and equal
            padding on both sides in the whole network, as in torchvision.
        zero_last_gamma: bool, whether the last gamma of each block starts at 0, so that the block
            starts as its shortcut. Off by default; the paper does not say.
        name: str, the model's name.
        **options: as in `tf_bdecay.models.Options`.

    Returns:
        A functional `keras.Model` from images [batch, height, width, channels] to logits
        [batch, num_classes], float32 under a mixed precision policy too.

    Raises:
        BadInput: an argument out of range, or one that would have no effect.
    """
    if stem not in STEMS:
        raise unknown("stem of resnet18", stem, STEMS)
    return residual_network(
        _RESNET18[stem],
        num_classes,
        width,
        input_shape,
        normalization,
        zero_last_gamma=zero_last_gamma,
        name=name,
        options=options,
    )


def resnet50(
    num_classes=1000,
    width=64,
    input_shape=(224, 224, 3),
    normalization="ghost",
    *,
    zero_last_gamma=False,
    name="resnet50",
    **options,
) -> keras.Model:
    """ResNet50 with the ImageNet stem and the stride in the 3x3 convolutions, as in torchvision.

    A 7x7 convolution of stride 2 and 3x3 max pooling of stride 2, then stages of 3, 4, 6 and 3
    bottleneck blocks with width, 2, 4 and 8 times width channels inside and four times as many at
    their ends. Padding is equal on both sides. There are 25,557,032 trainable parameters at 1,000
    classes and width 64.

    Args:
        num_classes: int >= 2.
        width: int >= 1, channels of the stem and inside the first stage's blocks.
        input_shape: ints (height, width, channels).
        normalization: as in `resnet18`.
        zero_last_gamma: as in `resnet18`.
        name: str, the model's name.
        **options: as in `tf_bdecay.models.Options`.

    Returns:
        A functional `keras.Model`, as `resnet18`.

    Raises:
        BadInput: an argument out of range, or one that would have no effect.
    """
    return residual_network(
        _RESNET50,
        num_classes,
        width,
        input_shape,
        normalization,
        zero_last_gamma=zero_last_gamma,
        name=name,
        options=options,
    )


def resnet50_d(
    num_classes=1000,
    width=64,
    input_shape=(224, 224, 3),
    normalization="ghost",
    *,
    zero_last_gamma=False,
    name="resnet50_d",
    **options,
) -> keras.Model:
    """ResNet50-D: `resnet50` with a deep stem and average-pool shortcuts (He et al., 2019).

    The stem is three 3x3 convolutions of width / 2, width / 2 and width channels, the first of
    stride 2, and the 3x3 max pooling of stride 2. A shortcut of stride 2 is a 2x2 mean and a 1x1
    convolution of stride 1. There are 25,576,264 trainable parameters at 1,000 classes and width
    64.

    Args:
        num_classes: int >= 2.
        width: even int >= 2, channels of the stem and inside the first stage's blocks.
        input_shape: ints (height, width, channels).
        normalization: as in `resnet18`.
        zero_last_gamma: as in `resnet18`.
        name: str, the model's name.
        **options: as in `tf_bdecay.models.Options`.

    Returns:
        A functional `keras.Model`, as `resnet18`.

    Raises:
        BadInput: an argument out of range, or one that would have no effect.
    """
    require(
        not isinstance(width, numbers.Integral) or width % 2 == 0,
        "`width` of resnet50_d must be even, as the first convolutions of its stem have half as "
        f"many channels. Received: width={width!r}",
    )
    return residual_network(
        _RESNET50_D,
        num_classes,
        width,
        input_shape,
        normalization,
        zero_last_gamma=zero_last_gamma,
        name=name,
        options=options,
    )
