"""The graph of a model's tensors, with nested models opened up, and what a unit leads to."""

import keras
import pytest
from keras import layers

from tests.sharpness.rescaling.rescale_networks import nested, shared_with_another_model
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness.rescaling.graph import Graph
from tf_bdecay.sharpness.rescaling.homogeneity import Channels, Refusal

pytestmark = pytest.mark.any_backend


def call_of(graph, label):
    (call,) = [call for call in graph.calls if call.label == label]
    return call


def kernels(graph, label, unit=0):
    """Paths of the kernels, and their parts, that a unit of a layer leads to."""
    call = call_of(graph, label)
    axis = len(call.node.outputs[0].shape) - 1
    parts = graph.kernels_after(call, Channels(axis, (unit,)))
    return sorted((part.variable.path, part.axis, part.indices) for part in parts)


def test_calls_of_nested_models_by_their_labels():
    graph = Graph(nested())
    labels = [call.label for call in graph.calls]
    assert {"one", "two", "three", "block/inner", "head/hidden"} <= set(labels)
    assert "block" not in labels and "head" not in labels
    pools = [call for call in graph.calls if call.label.endswith("average_pooling2d")]
    assert len(pools) == 2 and pools[0].node is pools[1].node  # one model called twice
    assert pools[0].scope != pools[1].scope
    assert [c.label for c in graph.layers()].count(pools[0].label) == 1


def test_calls_come_after_what_they_use():
    graph = Graph(nested())
    made = {}
    for position, call in enumerate(graph.calls):
        for output in call.node.outputs:
            made[call.scope, id(output)] = position
    uses = [(t, call) for t, users in graph.uses.items() for call, _ in users]
    inside = [(t, call) for t, call in uses if t in made]
    assert inside
    for tensor, call in inside:
        assert made[tensor] < graph.calls.index(call)


def test_a_unit_leads_to_every_kernel_on_every_path():
    x = inputs = keras.Input((3,))
    first = layers.Dense(4, name="first")(x)
    one = layers.Dense(2, name="one")(layers.ReLU()(first))
    two = layers.Dense(2, name="two")(first)
    joined = layers.Concatenate()([one, first, two])
    graph = Graph(keras.Model(inputs, layers.Dense(2, name="last")(joined)))
    assert kernels(graph, "first", unit=3) == [
        ("last/kernel", 0, (2 + 3,)),
        ("one/kernel", 0, (3,)),
        ("two/kernel", 0, (3,)),
    ]
    assert kernels(graph, "two", unit=1) == [("last/kernel", 0, (2 + 4 + 1,))]


def test_through_a_nested_model_and_out_again():
    graph = Graph(nested())
    found = kernels(graph, "two", unit=1)
    assert [(path.rsplit("/", 2)[-2], axis, indices) for path, axis, indices in found] == [
        ("three", 2, (1,))
    ]
    after_one = {path.rsplit("/", 2)[-2] for path, *_ in kernels(graph, "one")}
    assert after_one == {"inner", "hidden"}  # by the convolution inside, and past it


def test_an_output_is_refused():
    graph = Graph(keras.Sequential([keras.Input((3,)), layers.Dense(2, name="last")]))
    with pytest.raises(Refusal, match="output of the model"):
        kernels(graph, "last")


def test_other_models_that_share_layers_are_not_in_it():
    graph = Graph(shared_with_another_model())
    assert len(graph.calls) == 5  # input, convolution, ReLU, flatten, dense
    assert set(graph.owners.values()) == {1}


class Tied(layers.Layer):
    """A layer with the kernel of another."""

    def __init__(self, other):
        super().__init__()
        self.kernel = other.kernel

    def call(self, x):
        return keras.ops.matmul(x, self.kernel)


def test_a_variable_of_two_layers_has_two_owners():
    inputs = keras.Input((3,))
    first = layers.Dense(3, name="first")
    hidden = first(inputs)
    graph = Graph(keras.Model(inputs, Tied(first)(hidden)))
    assert graph.owners[id(first.kernel)] == 2 and graph.owners[id(first.bias)] == 1


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


class Twisted(keras.Sequential):
    """A graph, and a `call` of its own that computes something else."""

    def call(self, x, training=None, mask=None):
        return 2 * super().call(x)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: layers.Dense(2), "must be a Keras model. Received: Dense"),
        (lambda: keras.Sequential([layers.Dense(2)]), "is not built"),
        (lambda: _built(Subclassed()), "has no such graph"),
        (lambda: Twisted([keras.Input((2,)), layers.Dense(2)]), "has no such graph"),
    ],
)
def test_models_without_a_graph_are_refused(make, sentence):
    with pytest.raises(BadInput, match=sentence):
        Graph(make())


def _built(model):
    model(keras.ops.ones((1, 3)))
    return model
