"""What all models share: checked arguments, and layers with the same initialisers and names.

Convolutions take `[batch, height, width, channels]` whatever Keras' global setting. Keras allows no
"/" in a layer's name, so names read `stage1_block2_conv1`; the path of a variable is then
`stage1_block2_conv1/kernel`.
"""

import dataclasses
import numbers
import zlib

import keras
import numpy as np
from keras import layers

from tf_bdecay.errors import BadInput, check_count, require, unknown
from tf_bdecay.layers import GhostBatchNormalization

NORMALIZATIONS = ("ghost", "batch", "none")
CHANNELS = "channels_last"
LOGITS_INITIALIZERS = ("fan_in", "fan_out")


@dataclasses.dataclass(frozen=True)
class Options:
    """The keyword arguments that all models have.

    Attributes:
        ghost_batch_size: int >= 1, examples in a ghost batch.
        ghost_partial: "error", or "smaller" for one smaller ghost batch at the end of a training
            batch that `ghost_batch_size` does not divide.
        center: bool, whether normalization layers have a beta.
        scale: bool, whether normalization layers have a gamma.
        bn_momentum: float, the share of the moving statistics that an update keeps.
        bn_epsilon: float, added to the variance.
        logits_initializer: "fan_in", a deviation of 1 / sqrt(features) for the dense kernel, or
            "fan_out", He normal by fan-out for it too. With the latter and 10 classes, the first
            logits have a deviation of about 10, and the first loss is near 20 instead of near 3.
        seed: int >= 0 for the same initial values every time, from which each layer derives its
            own seed; None for others every time.
    """

    ghost_batch_size: int = 32
    ghost_partial: str = "error"
    center: bool = True
    scale: bool = True
    bn_momentum: float = 0.9
    bn_epsilon: float = 1e-5
    logits_initializer: str = "fan_in"
    seed: int | None = None


OPTIONS = {field.name: field.default for field in dataclasses.fields(Options)}
_NORMALIZATION = ("center", "scale", "bn_momentum", "bn_epsilon")
_GHOST = ("ghost_batch_size", "ghost_partial")


class Builder:
    """Adds layers to one functional model, each initialised from (seed, its name).

    Args:
        model: the model's name, for messages.
        normalization: "ghost", "batch", "none" or None, or a function of `name`, `center`, `scale`
            (and `gamma_initializer`, for a gamma that starts at 0) that makes a layer.
        **options: as in `Options`.

    Raises:
        BadInput: an unknown option, a misspelt normalization, or an option that this
            normalization would ignore.
    """

    def __init__(self, model, normalization, **options):
        for name in options:
            if name not in OPTIONS:
                raise unknown(f"argument of {model}", name, OPTIONS)
        self.model = model
        self.options = Options(**options)
        self.normalization = "none" if normalization is None else normalization
        if not callable(self.normalization) and self.normalization not in NORMALIZATIONS:
            raise unknown(f"normalization for {model}", normalization, NORMALIZATIONS)
        seed, logits_initializer = self.options.seed, self.options.logits_initializer
        require(
            seed is None or (_is_int(seed) and seed >= 0),
            f"`seed` of {model} must be an integer >= 0 or None. Received: seed={seed!r}",
        )
        if logits_initializer not in LOGITS_INITIALIZERS:
            raise unknown(f"logits_initializer of {model}", logits_initializer, LOGITS_INITIALIZERS)
        self._refuse_ignored()

    @property
    def normalizes(self):
        """Whether convolutions are followed by a normalization layer, and so have no bias."""
        return self.normalization != "none"

    def convolve(self, x, name, channels, size=3, strides=1, padding="same"):
        """A convolution, without the bias that a normalization layer behind it would cancel.

        Padding is Keras' "same", or "both" for size // 2 on both sides. They differ only where a
        stride of 2 meets an even image size: there, Keras pads the near side by one less.
        """
        if padding == "both" and strides > 1 and size > 1:
            x = layers.ZeroPadding2D(size // 2, data_format=CHANNELS, name=f"{name}_pad")(x)
            padding = "valid"
        else:
            padding = "same"
        return layers.Conv2D(
            channels,
            size,
            strides=strides,
            padding=padding,
            data_format=CHANNELS,
            use_bias=not self.normalizes,
            kernel_initializer=self.normal(2.0, "fan_out", name),
            name=name,
        )(x)

    def normalize(self, x, name, zero_gamma=False):
        """A normalization layer; x unchanged if the model has none."""
        if not self.normalizes:
            return x
        a = self.options
        common = dict(name=name, center=a.center, scale=a.scale)
        if zero_gamma:
            common["gamma_initializer"] = "zeros"
        if callable(self.normalization):
            return self.normalization(**common)(x)
        common.update(axis=-1, momentum=a.bn_momentum, epsilon=a.bn_epsilon)
        if self.normalization == "batch":
            return layers.BatchNormalization(**common)(x)
        common.update(ghost_batch_size=a.ghost_batch_size, partial=a.ghost_partial)
        return GhostBatchNormalization(**common)(x)

    def classify(self, x, num_classes):
        """Mean over positions, then one dense layer with a bias; float32 logits at least."""
        x = layers.GlobalAveragePooling2D(data_format=CHANNELS, name="pool")(x)
        scale = 1.0 if self.options.logits_initializer == "fan_in" else 2.0
        compute = keras.config.dtype_policy().compute_dtype
        return layers.Dense(
            num_classes,
            dtype="float32" if compute in ("float16", "bfloat16") else None,
            kernel_initializer=self.normal(scale, self.options.logits_initializer, "logits"),
            name="logits",
        )(x)

    def normal(self, scale, fan, name):
        """An untruncated normal of deviation sqrt(scale / fan), seeded by (seed, name)."""
        seed = None
        if self.options.seed is not None:
            words = np.random.SeedSequence([self.options.seed, zlib.crc32(name.encode())])
            seed = int(words.generate_state(1)[0] >> 1)
        return keras.initializers.VarianceScaling(scale, fan, "untruncated_normal", seed=seed)

    def _refuse_ignored(self):
        """Raises `BadInput` for an argument set to something that would have no effect."""
        if self.normalization == "ghost":
            used = _NORMALIZATION + _GHOST
        elif self.normalization == "batch":
            used = _NORMALIZATION
        else:
            used = ("center", "scale") if callable(self.normalization) else ()
        for name in _NORMALIZATION + _GHOST:
            value = getattr(self.options, name)
            require(
                name in used or value == OPTIONS[name],
                f"`{name}` of {self.model} has no effect with normalization="
                f"{self.normalization!r}: leave it out. Received: {name}={value!r}",
            )


def check_shapes(model, num_classes, width, input_shape):
    """Checks the sizes of a model.

    Args:
        model: the model's name, for the message.
        num_classes: int >= 2.
        width: int >= 1, channels of the first stage.
        input_shape: three ints >= 1: height, width, channels.

    Returns:
        The input shape as a tuple.

    Raises:
        BadInput: there is no model of these sizes.
    """
    check_count("num_classes", num_classes, least=2, of=model)
    check_count("width", width, of=f"{model}, the channels of its first stage,")
    try:
        sizes = tuple(input_shape)
    except TypeError:
        sizes = ()
    if len(sizes) != 3 or not all(_is_int(n) and n >= 1 for n in sizes):
        raise BadInput(
            f"`input_shape` of {model} must be three integers (height, width, channels), without "
            f"the batch. Received: input_shape={input_shape!r}"
        )
    return sizes


def _is_int(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
