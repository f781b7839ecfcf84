"""Models and examples that measures refuse, each in one sentence."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.sharpness.networks import convolutional, crossentropy, examples_for
from tf_bdecay import sharpness
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import connectivity

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_models_that_cannot_be_measured_are_refused():
    data = np.ones((2, 3)), np.zeros(2, int)
    with pytest.raises(BadInput, match="is not built"):
        connectivity(keras.Sequential([layers.Dense(3)]), crossentropy, data)
    with pytest.raises(BadInput, match="no trainable variable"):
        connectivity(keras.Sequential([keras.Input((3,)), layers.ReLU()]), crossentropy, data)
    with pytest.raises(BadInput, match="measured of a Keras model. Received: 'resnet'"):
        connectivity("resnet", crossentropy, data)


@pytest.mark.parametrize("measure", [sharpness.connectivity, sharpness.hessian_trace])
@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda x, y: (x[:, :4], y), "axis -1 of input shape .*x of shape .4, 5, 2. and y"),
        (lambda x, y: (x, y + 7), "label value of [789] which is outside the valid range"),
    ],
    ids=["shape", "labels"],
)
@pytest.mark.quick_rows(2)
def test_examples_that_the_model_or_the_loss_does_not_take(measure, change, reason):
    model = convolutional()
    with pytest.raises(BadInput, match=f"cannot take these examples .*{reason}"):
        measure(model, LOSS, change(*examples_for(model)))
