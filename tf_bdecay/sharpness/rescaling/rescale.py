"""Rescaling a unit of a network by eq. 9: other weights, the same function."""

import dataclasses
import numbers

import keras
import numpy as np

from tf_bdecay.errors import BadInput, check_number, require, unknown
from tf_bdecay.frameworks import keras_private
from tf_bdecay.sharpness.rescaling import homogeneity
from tf_bdecay.sharpness.rescaling.graph import Graph
from tf_bdecay.sharpness.rescaling.homogeneity import Refusal, describe


@dataclasses.dataclass(frozen=True)
class Scaled:
    """A part of a variable that was scaled.

    Attributes:
        path: the variable's Keras path.
        axis, indices: all entries at these indices along this axis were scaled.
    """

    path: str
    axis: int
    indices: tuple


@dataclasses.dataclass(frozen=True)
class Rescaling:
    """What `reparameterize` did.

    Attributes:
        layer: the layer's name; "block/conv" for `conv` in the nested model `block`.
        unit: int, the index of its output channel.
        c: float, the factor.
        incoming: tuple of `Scaled`, multiplied by c.
        outgoing: tuple of `Scaled`, divided by c.
    """

    layer: str
    unit: int
    c: float
    incoming: tuple
    outgoing: tuple


def reparameterize(model, layer, unit, c):
    """Scales one unit of a hidden layer and undoes it in the next: rho_{c,l,k}.

        rho: (w_in, b, w_out) -> (c w_in, c b, w_out / c),  c > 0    (eq. 9)

    The model computes the same function as before, up to rounding and as long as nothing overflows.
    By Theorem 3.1 its connectivity sharpness is the same. Weights change in place, and only after
    every check has passed.

    A unit of a normalization layer is one channel: w_in is its gamma and b its beta. Every path
    from the unit must lead to the kernel of a Dense or a convolution, through operations that are
    homogeneous and keep channels apart: relu, leaky_relu, pooling, padding, dropout, Flatten,
    Concatenate. Depthwise, separable, transposed and grouped convolutions and PReLU are refused.
    Moving statistics do not change, so a convolution cannot be rescaled if a batch normalization
    follows it; rescale that normalization layer instead.

    Args:
        model: a built functional or sequential Keras model; nested models are searched too.
        layer: a layer of it, or its name; "block/conv" for `conv` in the nested model `block`.
        unit: int, the index of an output channel, from 0.
        c: finite number > 0.

    Returns:
        A `Rescaling`, which lists the scaled parts of variables.

    Raises:
        BadInput: there is no such layer or unit; c is not a finite number > 0; the graph of the
            model cannot be followed; or the function would change, because the unit is an output,
            goes into a residual sum, a normalization or a function that is not homogeneous, or its
            weights or those of the next kernel are shared, constrained or quantized.
    """
    graph = Graph(model)
    found = _find(graph, layer)
    check_number("c", c, above=0)
    try:
        units = homogeneity.units_of(found.operation)
        require(
            isinstance(unit, numbers.Integral) and not isinstance(unit, bool) and 0 <= unit < units,
            f"`unit` of layer {found.label!r} must be an integer from 0 to {units - 1}. "
            f"Received: unit={unit!r}",
        )
        unit, c = int(unit), float(c)
        both = _parts(graph, found, unit)
        values = _scaled_values(*both, c)
    except Refusal as refusal:
        raise BadInput(
            f"Unit {unit} of {found.label!r} cannot be rescaled: {refusal}."
        ) from refusal
    for variable, value in values:
        variable.assign(value)
    return Rescaling(
        found.label,
        unit,
        c,
        *(tuple(Scaled(p.variable.path, p.axis, p.indices) for p in parts) for parts in both),
    )


def rescalable_units(model):
    """The hidden layers whose units `reparameterize` can scale.

    Args:
        model: a built functional or sequential Keras model.

    Returns:
        List of pairs (layer name, number of units), in the model's order.

    Raises:
        BadInput: the graph of the model cannot be followed.
    """
    graph, found = Graph(model), []
    for call in graph.layers():
        try:
            units = homogeneity.units_of(call.operation)
            for part in sum(_parts(graph, call, 0), []):  # its units differ only in their index
                _check_variable(part.variable)
        except Refusal:
            continue
        found.append((call.label, units))
    return found


def _find(graph, layer):
    """The call of a layer, which is given as an object or by its name."""
    known = graph.layers()
    require(
        isinstance(layer, keras.layers.Layer | str),
        "`layer` must be a layer of the model or the name of one. "
        f"Received: {type(layer).__name__}",
    )
    if isinstance(layer, str):
        hits = [call for call in known if call.label == layer]
        hits = hits or [call for call in known if call.operation.name == layer]
        require(
            len(hits) < 2,
            f"The name {layer!r} is of {len(hits)} layers, in nested models: use one of "
            f"{', '.join(repr(call.label) for call in hits)}.",
        )
    else:
        hits = [call for call in known if call.operation is layer]
    if hits:
        return hits[0]
    hidden = keras_private.layers_of(graph.model)
    name = layer if isinstance(layer, str) else layer.name
    require(
        not any(inner is layer or inner.name == layer for inner in hidden),
        f"The layer {name!r} is a model or a part of another layer, not a step of the graph that "
        "has units: name a Dense, a convolution or a normalization layer of the graph.",
    )
    if isinstance(layer, str):
        raise unknown("layer", layer, [call.label for call in known if call.operation.variables])
    raise BadInput(
        f"The layer {describe(layer)} is not in the model {graph.model.name!r}: name one that is."
    )


def _parts(graph, call, unit):
    """Parts of variables to multiply and to divide by c, if the function would stay the same."""
    layer, output = call.operation, call.node.outputs[0]
    incoming, channels = homogeneity.incoming(layer, unit, len(output.shape))
    _check_owners(graph, incoming)
    outgoing = graph.kernels_after(call, channels)
    _check_owners(graph, outgoing)
    return incoming, outgoing


def _check_owners(graph, parts):
    for part in parts:
        owners = graph.owners[id(part.variable)]
        if owners != 1:
            raise Refusal(
                f"the model uses the variable {part.variable.path!r} in {owners} places, of which "
                "it would change all; name a layer that shares none with another place"
            )


def _check_variable(variable):
    if variable.constraint is not None:
        raise Refusal(
            f"the variable {variable.path!r} has the constraint "
            f"{type(variable.constraint).__name__}, which a scaled one need not meet; use a layer "
            "without constraint"
        )
    if not keras.backend.is_float_dtype(variable.dtype):
        raise Refusal(
            f"the variable {variable.path!r} is of {variable.dtype}; use a model of floats"
        )


def _scaled_values(incoming, outgoing, c):
    """Pairs (variable, new value), each variable once."""
    values = {}
    with np.errstate(all="ignore"):
        factors = np.float64(c), 1 / np.float64(c)
        for parts, factor in zip((incoming, outgoing), factors, strict=True):
            for part in parts:
                _scale(values, part, factor, c)
    return list(values.values())


def _scale(values, part, factor, c):
    """Multiplies a part of a variable by a factor, in the dictionary of new values."""
    variable = part.variable
    _check_variable(variable)
    if id(variable) not in values:
        values[id(variable)] = variable, np.array(keras.ops.convert_to_numpy(variable))
    value = values[id(variable)][1]
    index = (*[slice(None)] * part.axis, list(part.indices))
    old = value[index].astype("float64")
    value[index] = old * factor
    # What overflows its type could not be scaled back; devices flush what is subnormal to 0.
    tiny = np.finfo("float64" if variable.dtype == "float64" else "float32").tiny
    back = np.where(np.abs(value[index]) < tiny, 0, value[index].astype("float64")) / factor
    if not np.allclose(back, old, rtol=1e-2, atol=tiny, equal_nan=True):
        raise Refusal(
            f"c = {c!r} takes {variable.path!r} beyond the range of {variable.dtype}; use a c "
            "nearer to 1"
        )
