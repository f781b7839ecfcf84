"""Eq. 9 layer by layer: which weights make up a unit, and where its scaling goes from there.

Only the layers listed here are known: a unit that meets another one is refused.
"""

import dataclasses

import keras
import numpy as np
from keras import layers

from tf_bdecay.frameworks import keras_private
from tf_bdecay.layers import GhostBatchNormalization


def _of_each_rank(*names):
    kinds = (getattr(layers, f"{name}{n}D", None) for name in names for n in (1, 2, 3))
    return tuple(kind for kind in kinds if kind is not None)


_WITH_KERNEL = (layers.Dense, *_of_each_rank("Conv"))
_OTHER_KERNELS = (
    *_of_each_rank("DepthwiseConv", "SeparableConv"),
    *(getattr(layers, f"Conv{n}DTranspose") for n in (1, 2, 3)),
)
_NORMALIZATIONS = (
    layers.BatchNormalization,
    GhostBatchNormalization,
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.RMSNormalization,
)

_ELEMENTWISE = (
    layers.LeakyReLU,
    layers.Identity,
    layers.Dropout,
    layers.GaussianDropout,
    layers.ActivityRegularization,
    *_of_each_rank("SpatialDropout"),
)
_NOT_HOMOGENEOUS = (layers.ELU, layers.Softmax, layers.GaussianNoise, layers.AlphaDropout)
_OVER_POSITIONS = _of_each_rank(
    *("MaxPooling", "AveragePooling", "AdaptiveMaxPooling", "AdaptiveAveragePooling"),
    *("ZeroPadding", "Cropping", "UpSampling"),
)
_GLOBAL_POOLS = _of_each_rank("GlobalMaxPooling", "GlobalAveragePooling")
_HOMOGENEOUS_FUNCTIONS = (
    keras.activations.linear,
    keras.activations.relu,
    keras.activations.leaky_relu,
    keras.ops.relu,
    keras.ops.leaky_relu,
)


class Refusal(Exception):
    """Why a unit cannot be rescaled, and what could be instead: the end of a sentence."""


@dataclasses.dataclass(frozen=True)
class Channels:
    """The scaled part of a tensor: all entries at some indices along one axis."""

    axis: int
    indices: tuple


@dataclasses.dataclass(frozen=True)
class Part:
    """The scaled part of a variable: all entries at some indices along one axis."""

    variable: keras.Variable
    axis: int
    indices: tuple


def units_of(layer):
    """The number of a layer's units.

    Raises:
        Refusal: it has none that can be rescaled.
    """
    if _is(layer, _NORMALIZATIONS):
        gamma = _gamma(layer)
        if gamma is None or len(gamma.shape) != 1:
            raise Refusal(
                f"{describe(layer)} has no gamma to scale along one axis; use scale=True and one "
                "axis, or name another layer"
            )
        return gamma.shape[0]
    _refuse_other_kernels(layer)
    if _is(layer, _WITH_KERNEL):
        return layer.units if isinstance(layer, layers.Dense) else layer.filters
    raise Refusal(
        f"{describe(layer)} has no units; name a Dense, a convolution or a normalization layer"
    )


def incoming(layer, unit, rank):
    """The weights that make up a unit, and its channel in the layer's output of rank `rank`.

    Raises:
        Refusal: the layer's activation is not homogeneous, or its kernel is not a plain variable.
    """
    if _is(layer, _NORMALIZATIONS):
        axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
        beta = getattr(layer, "beta", None)
        parts = [Part(v, 0, (unit,)) for v in (_gamma(layer), beta) if v is not None]
        return parts, Channels(axis % rank, (unit,))
    _refuse_altered_kernel(layer)
    _check_function(layer.activation, layer)
    parts = [Part(layer.kernel, len(layer.kernel.shape) - 1, (unit,))]
    if layer.bias is not None:
        parts.append(Part(layer.bias, 0, (unit,)))
    return parts, Channels(_channel_axis(layer, rank), (unit,))


def outgoing(operation, channels, rank):
    """The weights that scaled channels of an input of rank `rank` meet; None without a kernel.

    Raises:
        Refusal: the kernel has no axis for its input channels alone or is not a plain variable, or
            the scaled channels lie along another axis.
    """
    _refuse_other_kernels(operation)
    if not _is(operation, _WITH_KERNEL):
        return None
    _refuse_altered_kernel(operation)
    _check_axis(operation, channels, rank)
    return Part(operation.kernel, len(operation.kernel.shape) - 2, channels.indices)


def through(operation, channels, shapes, position):
    """Which channels of an operation's output are scaled, given those of one of its inputs.

    Args:
        operation: a layer without a kernel, or a plain operation.
        channels: `Channels` of the input.
        shapes: shapes of all its inputs.
        position: which of them is scaled.

    Raises:
        Refusal: the output is not the old one with some channels scaled.
    """
    shape = shapes[position]
    if _is(operation, (layers.Concatenate,)) or _is_plain(operation, "Concatenate"):
        return _concatenated(operation, channels, shapes, position)
    if len(shapes) > 1:
        raise Refusal(
            f"it goes into {describe(operation)}, which combines it with another tensor, as a "
            "residual sum does; name a layer whose every path leads to a Dense or a convolution"
        )
    if _is(operation, _NORMALIZATIONS):
        raise Refusal(
            f"it goes into {describe(operation)}, whose statistics are of what it is given; name "
            f"{operation.name!r} itself"
        )
    if _is_activation(operation):
        _check_function(operation, operation)
        return channels
    if _is(operation, _OVER_POSITIONS):
        _check_axis(operation, channels, len(shape))
        return channels
    if _is(operation, _GLOBAL_POOLS):
        _check_axis(operation, channels, len(shape))
        return Channels(channels.axis if operation.keepdims else 1, channels.indices)
    if _is(operation, (layers.Permute,)):
        return Channels(operation.dims.index(channels.axis) + 1, channels.indices)
    if _is(operation, (layers.Flatten, layers.Reshape)):
        return _reshaped(operation, channels, shape)
    raise Refusal(
        f"it goes into {describe(operation)}, of which nothing is known; name a layer that only "
        "relu, leaky_relu, pooling, padding, dropout and Flatten part from the next kernel"
    )


def describe(operation):
    """An operation's name and type, for a message."""
    return f"{operation.name!r} ({type(operation).__name__})"


def _is(operation, classes):
    """Whether it is of one of these classes, and keeps that class's `call`."""
    return any(isinstance(operation, k) and type(operation).call is k.call for k in classes)


def _is_plain(operation, *names):
    """Whether it is one of Keras' own operations that are not layers, such as `keras.ops.relu`."""
    kind = type(operation)
    return (
        not isinstance(operation, layers.Layer)
        and keras_private.is_from_keras(operation)
        and kind.__name__ in names
    )


def _is_activation(operation):
    return _is(
        operation, (layers.ReLU, layers.Activation, *_ELEMENTWISE, *_NOT_HOMOGENEOUS)
    ) or _is_plain(
        operation,
        *("Relu", "ReLU", "LeakyRelu", "Relu6", "Elu", "Selu", "Gelu", "Silu", "Sigmoid", "Tanh"),
        *("Softmax", "LogSoftmax", "Softplus", "Softsign", "HardSigmoid", "HardSilu"),
    )


def _check_function(function, owner):
    """Raises `Refusal` unless an activation (function, layer or operation) is homogeneous."""
    if _is(function, (layers.Activation,)):
        function = function.activation
    if function is None or function in _HOMOGENEOUS_FUNCTIONS:
        return
    name = getattr(function, "__name__", None) or type(function).__name__
    if _is(function, (layers.ReLU,)) or _is_plain(function, "Relu", "ReLU"):
        changed = [
            f"{key}={value}"
            for key, harmless in (("max_value", None), ("threshold", 0))
            if (value := getattr(function, key, harmless)) != harmless
        ]
        if not changed:
            return
        name = f"{name} with {' and '.join(changed)}"
    elif _is(function, _ELEMENTWISE) or _is_plain(function, "LeakyRelu"):
        return
    raise Refusal(
        f"it passes through {name} in {owner.name!r}, which is not known to be homogeneous, "
        "f(c z) = c f(z) for c > 0; use relu, leaky_relu or linear there, or name another layer"
    )


def _gamma(layer):
    return layer.scale if isinstance(layer, layers.RMSNormalization) else layer.gamma


def _refuse_other_kernels(layer):
    grouped = _is(layer, _WITH_KERNEL) and getattr(layer, "groups", 1) > 1
    if grouped or _is(layer, _OTHER_KERNELS):
        kind = "a grouped convolution" if grouped else f"a {type(layer).__name__}"
        raise Refusal(
            f"the kernel of {layer.name!r}, {kind}, has no axis for its input channels alone; name "
            "a layer between Dense layers or plain convolutions"
        )


def _refuse_altered_kernel(layer):
    lora = getattr(layer, "lora_enabled", False) and "has LoRA weights"
    how = lora or (getattr(layer, "quantization_mode", None) and "is quantized")
    if how:
        raise Refusal(
            f"{describe(layer)} {how}, so that its kernel is more than one variable of floats; use "
            "the model before that"
        )


def _channel_axis(layer, rank):
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return 1 if first else rank - 1


def _check_axis(operation, channels, rank):
    expected = _channel_axis(operation, rank)
    if channels.axis != expected:
        raise Refusal(
            f"it lies along axis {channels.axis} of the input of {describe(operation)}, whose "
            f"channels are axis {expected}; name a layer that has them along the same axis"
        )


def _concatenated(operation, channels, shapes, position):
    axis = operation.axis % len(shapes[0])
    sizes = [shape[axis] for shape in shapes[:position]]
    if axis != channels.axis or None in sizes:
        raise Refusal(
            f"it goes into {describe(operation)}, which joins tensors along axis {axis}, while its "
            f"channels lie along axis {channels.axis}; name a layer with that axis of known size"
        )
    return Channels(axis, tuple(i + sum(sizes) for i in channels.indices))


def _reshaped(layer, channels, shape):
    """The channels after a layer that only moves entries, found by moving a mark through it."""
    if None not in shape[1:]:
        mark = np.zeros((1, *shape[1:]), "float32")
        np.moveaxis(mark, channels.axis, 0)[list(channels.indices)] = 1
        moved = np.asarray(keras.ops.convert_to_numpy(layer(mark)), "float32")
        # Prefer the old axis if it still tells them apart: with a single channel several axes do.
        for axis in sorted(range(1, moved.ndim), key=lambda a: (a != channels.axis, -a)):
            along = np.moveaxis(moved, axis, 0).reshape(moved.shape[axis], -1)
            if (along == along[:, :1]).all():
                return Channels(axis, tuple(int(i) for i in np.flatnonzero(along[:, 0])))
    raise Refusal(
        f"it goes into {describe(layer)}, which takes {tuple(shape)} to a shape where no one axis "
        "tells its entries from the rest; use Flatten with known sizes, or name another layer"
    )
