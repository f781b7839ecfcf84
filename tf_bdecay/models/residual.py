"""What residual networks are made of: stems, blocks, shortcuts and stages.

Where a stride of 2 meets an even image size, Keras' "same" pads the near side by one less than the
far side. PyTorch's networks pad both sides alike, and so do those with an ImageNet stem here, which
can therefore take PyTorch's weights.
"""

import dataclasses
from collections.abc import Callable

import keras
from keras import layers

from tf_bdecay.errors import require
from tf_bdecay.models.blocks import CHANNELS, Builder, check_shapes


@dataclasses.dataclass(frozen=True)
class Design:
    """What distinguishes one residual network from another.

    Attributes:
        model: the name of its function in `tf_bdecay.models`, for messages.
        blocks: number of blocks in each stage. The stages have width, 2, 4, ... times width
            channels inside their blocks; the first block of every stage but the first has stride 2.
        block: `basic_block` or `bottleneck`.
        stem: `cifar_stem`, `imagenet_stem` or `deep_stem`.
        padding: of strided convolutions, as in `Builder.convolve`.
        pooled_shortcuts: whether a shortcut of stride 2 takes a 2x2 mean before its 1x1
            convolution, which otherwise skips three positions of four.
    """

    model: str
    blocks: tuple
    block: Callable
    stem: Callable
    padding: str = "both"
    pooled_shortcuts: bool = False


def residual_network(
    design, num_classes, width, input_shape, normalization, *, zero_last_gamma, name, options
):
    """Builds the functional model of a design.

    Args:
        design: a `Design`.
        num_classes, width, input_shape, normalization, zero_last_gamma, name: as in
            `tf_bdecay.models.resnet18`.
        options: dict of the fields of `tf_bdecay.models.Options`.

    Raises:
        BadInput: as `resnet18`.
    """
    model = design.model
    shape = check_shapes(model, num_classes, width, input_shape)
    build = Builder(model, normalization, **options)
    require(
        build.normalizes,
        f"{model} needs a normalization, as its residual sums would grow from block to block: use "
        f"'ghost', 'batch' or a function that makes a layer. Received: {normalization!r}",
    )
    require(
        build.options.scale or not zero_last_gamma,
        f"`zero_last_gamma` of {model} needs a gamma: use scale=True, or leave it out. "
        "Received: zero_last_gamma=True, scale=False",
    )
    inputs = keras.Input(shape, name="image")
    x = design.stem(build, inputs, width)
    for stage, blocks in enumerate(design.blocks, 1):
        channels = width * 2 ** (stage - 1)
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            prefix = f"stage{stage}_block{block}"
            x = design.block(build, design, x, prefix, channels, strides, zero_last_gamma)
    return keras.Model(inputs, build.classify(x, num_classes), name=name)


def cifar_stem(build, x, width):
    """One 3x3 convolution of stride 1, no pool."""
    return _normalized(build, build.convolve(x, "stem_conv", width), "stem_bn", "stem_relu")


def imagenet_stem(build, x, width):
    """One 7x7 convolution of stride 2, then 3x3 max pooling of stride 2 (He et al., 2016)."""
    x = build.convolve(x, "stem_conv", width, size=7, strides=2, padding="both")
    return _pooled(_normalized(build, x, "stem_bn", "stem_relu"))


def deep_stem(build, x, width):
    """Three 3x3 convolutions, the first of stride 2, in place of the 7x7 (He et al., 2019)."""
    plan = ((width // 2, 2), (width // 2, 1), (width, 1))
    for i, (channels, strides) in enumerate(plan, 1):
        x = build.convolve(x, f"stem_conv{i}", channels, strides=strides, padding="both")
        x = _normalized(build, x, f"stem_bn{i}", f"stem_relu{i}")
    return _pooled(x)


def basic_block(build, design, x, prefix, channels, strides, zero_last_gamma):
    """Two 3x3 convolutions beside a shortcut, added before the last ReLU."""
    plan = ((channels, 3, strides), (channels, 3, 1))
    return _block(build, design, x, prefix, plan, zero_last_gamma)


def bottleneck(build, design, x, prefix, channels, strides, zero_last_gamma):
    """Convolutions 1x1, 3x3 with the stride, 1x1 to four times the channels; beside a shortcut."""
    plan = ((channels, 1, 1), (channels, 3, strides), (4 * channels, 1, 1))
    return _block(build, design, x, prefix, plan, zero_last_gamma)


def _block(build, design, x, prefix, plan, zero_last_gamma):
    """Convolutions of (channels, size, strides) beside a shortcut."""
    given, last = x, len(plan)
    for i, (channels, size, strides) in enumerate(plan, 1):
        x = build.convolve(x, f"{prefix}_conv{i}", channels, size, strides, design.padding)
        x = build.normalize(x, f"{prefix}_bn{i}", zero_gamma=zero_last_gamma and i == last)
        if i < last:
            x = layers.ReLU(name=f"{prefix}_relu{i}")(x)
    strides = max(strides for _, _, strides in plan)
    shortcut = _shortcut(build, design, given, prefix, x.shape[-1], strides)
    x = layers.Add(name=f"{prefix}_add")([x, shortcut])
    return layers.ReLU(name=f"{prefix}_relu{last}")(x)


def _shortcut(build, design, x, prefix, channels, strides):
    """x unchanged, or after a 1x1 convolution if the block changes its shape."""
    if strides == 1 and x.shape[-1] == channels:
        return x
    if design.pooled_shortcuts and strides > 1:
        # "same": at an odd edge, the mean of the pixels that exist.
        x = layers.AveragePooling2D(
            strides, padding="same", data_format=CHANNELS, name=f"{prefix}_shortcut_pool"
        )(x)
        strides = 1
    x = build.convolve(x, f"{prefix}_shortcut_conv", channels, 1, strides)
    return build.normalize(x, f"{prefix}_shortcut_bn")


def _normalized(build, x, norm, relu):
    return layers.ReLU(name=relu)(build.normalize(x, norm))


def _pooled(x):
    """3x3 max pooling of stride 2. After a ReLU, padding with zeros changes no maximum."""
    x = layers.ZeroPadding2D(1, data_format=CHANNELS, name="stem_pool_pad")(x)
    return layers.MaxPooling2D(3, 2, data_format=CHANNELS, name="stem_pool")(x)
