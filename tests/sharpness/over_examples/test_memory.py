"""The estimate of how many examples fit into memory must not be far too low."""

import keras
import numpy as np
from keras import layers

from tests.sharpness.networks import CLASSES
from tf_bdecay.sharpness.over_examples import memory, network
from tf_bdecay.sharpness.over_examples.stream import Stream

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Twice(keras.Model):
    """A model whose layers are in no graph."""

    def __init__(self, units):
        super().__init__()
        self.hidden, self.last = layers.Dense(units, "relu"), layers.Dense(CLASSES)

    def call(self, x):
        return self.last(self.hidden(x))


def test_layers_in_no_graph_take_memory_too():
    data = np.ones((4, 3), "float32"), np.zeros(4, int)

    def needed(units):
        model = Twice(units)
        model(data[0])
        made = network.Network(model, LOSS)
        return memory.layer_output_bytes(made, Stream(data))

    inputs = keras.Input((3,))
    graph = keras.Model(inputs, layers.Dense(CLASSES)(layers.Dense(1000, "relu")(inputs)))
    shown = memory.layer_output_bytes(network.Network(graph, LOSS), Stream(data))
    assert shown <= needed(1000) <= 4 * shown
    assert needed(2000) > 1.9 * needed(1000)
