"""Counts what one example costs a network: operations and bytes, from the shapes of its layers.

Every layer has a rule in `_RULES`: the operations of the forward pass (a multiplication and an
addition are two), and the tensors that must be kept because the backward pass reads them again:

    convolution     2 kh kw (c_in / groups) values of the output (+ 1 each for a bias); its input
    dense           2 c_in values of the output (+ 1 each for a bias); its input
    normalization   6 a value (mean 1; deviation, square, sum 3; scale, shift 2); its input
    ReLU, tanh, ... 1 a value; its output
    addition        1 a value for each input but the first; nothing
    maximum pool    window values of the output; its input and output
    average pool    window values of the output; nothing
    padding         nothing; nothing

A tensor that two layers keep, such as a ReLU's output that the next convolution reads, is counted
once. A layer without a rule is an error: nothing is left out silently.
"""

import dataclasses
import math
import re

import keras
from keras import layers

from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import keras_private

NORMALIZATION = 6  # operations a value


@dataclasses.dataclass(frozen=True)
class Costs:
    """What a network needs, in plain numbers.

    Attributes:
        flops: operations of the forward pass of one example.
        kept_bytes: what the forward pass of one example keeps for the backward pass.
        weight_bytes: of all variables, including moving statistics.
        gradient_bytes: of one gradient of every trainable variable.
        moment_bytes: of the optimizer's moments.
    """

    flops: int
    kept_bytes: int
    weight_bytes: int
    gradient_bytes: int
    moment_bytes: int


def count(model, moments):
    """The `Costs` of training a functional model.

    Args:
        model: a functional `keras.Model` of the layers that `_RULES` knows.
        moments: how many moments the optimizer keeps for each trainable parameter: LAMB 2.

    Returns:
        `Costs`. Gradients and moments are taken to be as wide as their variables.

    Raises:
        BadInput: the model is not functional, or a layer has no rule.
    """
    trainable = sum(map(variable_bytes, model.trainable_variables))
    return Costs(
        flops=forward_flops(model),
        kept_bytes=kept_bytes(model),
        weight_bytes=sum(map(variable_bytes, model.variables)),
        gradient_bytes=trainable,
        moment_bytes=moments * trainable,
    )


def forward_flops(model):
    """Operations of the forward pass of one example: the sum over layers.

    Args:
        model: as in `count`.

    Raises:
        BadInput: as `count`.
    """
    return sum(_rule(node)(node)[0] for node in _nodes(model))


def kept_bytes(model):
    """Bytes of the activations of one example that the backward pass reads again.

    The model's input counts if a layer keeps it. A tensor and its reshaped form count once.

    Args:
        model: as in `count`.

    Raises:
        BadInput: as `count`.
    """
    same, kept = {}, {}  # id of a reshaped tensor to that of its source; id of a tensor to bytes
    for node in _nodes(model):
        if isinstance(node.operation, _VIEWS):
            source = node.input_tensors[0]
            same[id(node.outputs[0])] = same.get(id(source), id(source))
        for tensor in _rule(node)(node)[1]:
            kept[same.get(id(tensor), id(tensor))] = tensor_bytes(tensor)
    return sum(kept.values())


def variable_bytes(variable):
    """Bytes of a variable: its values times the bytes of one."""
    return math.prod(variable.shape) * _itemsize(variable.dtype)


def tensor_bytes(tensor):
    """Bytes of one example's part of a symbolic tensor [batch, ...]."""
    return _values(tensor) * _itemsize(tensor.dtype)


def _itemsize(dtype):
    name = keras.backend.standardize_dtype(dtype)
    return 1 if name == "bool" else int(re.search(r"\d+", name)[0]) // 8


def _values(tensor):
    """Values of one example's part of a tensor: its shape without the batch."""
    if None in tensor.shape[1:]:
        raise BadInput(
            "Counting needs a model whose input shape is known but for the batch. "
            f"Received: a tensor of shape {tuple(tensor.shape)}"
        )
    return math.prod(tensor.shape[1:])


def _nodes(model):
    """All calls of layers in a functional model, from the inputs on."""
    graph = keras_private.graph_of(model) if isinstance(model, keras.Model) else None
    if graph is None:
        raise BadInput(
            "Counting needs a functional keras.Model, whose layers tell their shapes. "
            f"Received: {type(model).__name__}"
        )
    return keras_private.nodes_of(graph)


def _rule(node):
    kind = type(node.operation)
    for known, rule in _RULES.items():
        if issubclass(kind, known):
            return rule
    raise BadInput(
        f"The layer {node.operation.name!r} is a {kind.__name__}, whose cost cannot be counted: "
        f"use a model of {', '.join(known.__name__ for known in _RULES)}."
    )


def _nothing(node):
    return 0, ()


def _convolution(node):
    layer, x, y = node.operation, node.input_tensors[0], node.outputs[0]
    channels = x.shape[-1 if layer.data_format == "channels_last" else 1] // layer.groups
    return _linear(layer, x, y, math.prod(layer.kernel_size) * channels)


def _dense(node):
    x, y = node.input_tensors[0], node.outputs[0]
    return _linear(node.operation, x, y, x.shape[-1])


def _linear(layer, x, y, products):
    """Costs of a linear map with `products` products per value, and of its layer's activation."""
    active = layer.activation is not keras.activations.linear
    flops = (2 * products + layer.use_bias + active) * _values(y)
    return flops, (x, y) if active else (x,)


def _normalization(node):
    x = node.input_tensors[0]
    return NORMALIZATION * _values(x), (x,)


def _activation(node):
    y = node.outputs[0]
    return _values(y), (y,)


def _addition(node):
    return (len(node.input_tensors) - 1) * _values(node.outputs[0]), ()


def _maximum_pool(node):
    y = node.outputs[0]
    return math.prod(node.operation.pool_size) * _values(y), (node.input_tensors[0], y)


def _average_pool(node):
    return math.prod(node.operation.pool_size) * _values(node.outputs[0]), ()


def _global_average(node):
    return _values(node.input_tensors[0]), ()


_VIEWS = (layers.Flatten, layers.Reshape)
_RULES = {
    layers.InputLayer: _nothing,
    layers.Flatten: _nothing,
    layers.Reshape: _nothing,
    layers.ZeroPadding2D: _nothing,
    layers.Conv2D: _convolution,
    layers.Dense: _dense,
    layers.BatchNormalization: _normalization,
    layers.LayerNormalization: _normalization,
    layers.GroupNormalization: _normalization,
    layers.ReLU: _activation,
    layers.Activation: _activation,
    layers.Add: _addition,
    layers.MaxPooling2D: _maximum_pool,
    layers.AveragePooling2D: _average_pool,
    layers.GlobalAveragePooling2D: _global_average,
}
