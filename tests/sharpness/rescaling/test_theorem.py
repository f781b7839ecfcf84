"""Theorem 3.1: after a rescaling some measures stay, and others do not."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.sharpness.networks import CLASSES, bytes_of, examples_for, randomized
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.sharpness import invariance

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def network():
    return randomized(
        keras.Sequential(
            [
                keras.Input((4, 4, 2)),
                layers.Conv2D(3, 3, use_bias=False, name="conv"),
                GhostBatchNormalization(11, name="norm"),
                layers.ReLU(),
                layers.Flatten(),
                layers.Dense(5, activation="relu", name="hidden"),
                layers.Dense(CLASSES, name="fc"),
            ]
        )
    )


@pytest.mark.parametrize("layer, c", [("hidden", 30.0), ("norm", 0.02)])
@pytest.mark.quick_rows(1)
@pytest.mark.slow
def test_connectivity_and_fisher_rao_stay_and_curvature_does_not(double, layer, c):
    model = network()
    x, y = examples_for(model)
    # A unit that is alive, and so seen by every measure.
    unit = int(np.argmax(np.abs(model.get_layer("fc").kernel.numpy()).sum(1)))
    unit = unit if layer == "hidden" else 0
    before = bytes_of(model)
    table = invariance(model, LOSS, (x, y), layer, unit, c)
    assert bytes_of(model) == before
    ratios = table.ratios()
    for name in ("C", "C_m", "FR^2", "Tr(CTK)"):
        assert ratios[name] == pytest.approx(1, abs=1e-8)
    for name in ("Tr(H)", "lambda(H)", "SAM"):
        assert abs(np.log(ratios[name])) > 0.1, name
    text = str(table)
    assert f"unit {unit} of" in text and "not invariant" in text


def test_weights_are_put_back_whatever_happens():
    model = network()
    before = bytes_of(model)

    def failing(y, outputs):
        raise RuntimeError("no loss")

    with pytest.raises(RuntimeError):
        invariance(model, failing, examples_for(model), "hidden")
    assert bytes_of(model) == before
    with pytest.raises(BadInput, match="did you mean 'Tr.H.'"):
        invariance(model, LOSS, examples_for(model), "hidden", measures=["Tr(h)"])
