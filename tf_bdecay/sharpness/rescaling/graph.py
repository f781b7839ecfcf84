"""The graph of a functional model, nested models expanded: which kernels a unit reaches."""

import collections
import dataclasses

import keras

from tf_bdecay.errors import require
from tf_bdecay.frameworks import keras_private
from tf_bdecay.sharpness.rescaling import homogeneity
from tf_bdecay.sharpness.rescaling.homogeneity import Refusal, describe


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer or operation: the nested calls around it, its node and its label."""

    scope: tuple
    node: object
    label: str

    @property
    def operation(self):
        return self.node.operation

    @property
    def shapes(self):
        return [tensor.shape for tensor in self.node.arguments.keras_tensors]


class Graph:
    """The calls that make up a model, nested models expanded, and the users of each tensor.

    A tensor is identified by the nested calls around it and its id: a nested model that is called
    twice has two of each. Other models that share layers have other nodes, which are not here.
    """

    def __init__(self, model):
        require(
            isinstance(model, keras.Model),
            f"`model` must be a Keras model. Received: {type(model).__name__}",
        )
        require(
            model.built,
            f"The model {model.name!r} is not built: call it on data or model.build(input_shape) "
            "before its units are rescaled.",
        )
        functional = _functional(model)
        require(
            functional is not None,
            f"The units of a model are found in the graph of a functional or sequential model, "
            f"with Keras' own `call`. Received: {describe(model)}, which has no such graph",
        )
        self.model = model
        self.calls = []
        self.uses = collections.defaultdict(list)  # tensor -> [(call, position)]
        self.same = collections.defaultdict(list)  # tensor -> its names in other scopes
        self.outputs = {((), id(tensor)) for tensor in functional.outputs}
        self._open(functional, (), "")
        self.owners = collections.Counter(
            key
            for call in self.calls
            if isinstance(call.operation, keras.layers.Layer)
            for key in {id(variable) for variable in call.operation.variables}
        )

    def _open(self, functional, scope, prefix):
        order = {id(operation): i for i, operation in enumerate(functional.operations)}
        nodes = keras_private.nodes_of(functional)
        for node in sorted(nodes, key=lambda n: order[id(n.operation)]):
            given = node.arguments.keras_tensors
            nested = _functional(node.operation)
            # A dictionary's order and an optional input may differ from call to call.
            if nested is not None and len(given) == len(nested.inputs) and not _by_name(node):
                within = (*scope, id(node))
                for outer, inner in zip(given, nested.inputs, strict=True):
                    self.same[scope, id(outer)].append((within, id(inner)))
                for inner, outer in zip(nested.outputs, node.outputs, strict=True):
                    self.same[within, id(inner)].append((scope, id(outer)))
                self._open(nested, within, f"{prefix}{node.operation.name}/")
                continue
            call = Call(scope, node, prefix + node.operation.name)
            self.calls.append(call)
            for position, tensor in enumerate(given):
                self.uses[scope, id(tensor)].append((call, position))

    def layers(self):
        """The first call of every layer."""
        first = {}
        for call in self.calls:
            if isinstance(call.operation, keras.layers.Layer):
                first.setdefault(id(call.operation), call)
        return list(first.values())

    def kernels_after(self, call, channels):
        """The parts of kernels that channels of a call's output reach, on every path."""
        parts, ahead = [], [((call.scope, id(call.node.outputs[0])), channels)]
        while ahead:
            tensor, channels = ahead.pop()
            if tensor in self.outputs:
                raise Refusal("it is an output of the model; name a hidden layer")
            ahead += [(other, channels) for other in self.same[tensor]]
            for user, position in self.uses[tensor]:
                rank = len(user.shapes[position])
                part = homogeneity.outgoing(user.operation, channels, rank)
                if part is not None:
                    parts.append(part)
                    continue
                after = homogeneity.through(user.operation, channels, user.shapes, position)
                ahead.append(((user.scope, id(user.node.outputs[0])), after))
        return parts


def _functional(model):
    """The functional graph that a model computes; None if it does not compute one."""
    if not isinstance(model, keras.Model):
        return None
    kind = type(model)
    keras_kind = next(filter(keras_private.is_from_keras, kind.__mro__))
    if kind.call is not keras_kind.call:
        return None
    return keras_private.graph_of(model)


def _by_name(node):
    arguments = (*node.arguments.args, *node.arguments.kwargs.values())
    return any(isinstance(argument, dict) for argument in arguments)
