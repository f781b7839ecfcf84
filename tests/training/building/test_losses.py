"""Cross-entropy with label smoothing, on any backend."""

import keras
import numpy as np
import pytest

from tf_bdecay.training.building.losses import SmoothedCrossentropy

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothed_crossentropy_against_its_formula(smoothing):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 4)), np.array([0, 3, 1, 1, 2])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    target = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    expected = -(target * log_p).sum(-1).mean()
    for shape in ((5,), (5, 1)):
        loss = SmoothedCrossentropy(smoothing)(labels.reshape(shape), logits.astype("float32"))
        assert float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_shares_of_classes_against_the_formula(smoothing):
    """Labels of mixed pictures; where one class has all of it, the loss is that of the class."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 4)), np.array([0, 3, 1, 1, 2])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    shares = rng.dirichlet(np.ones(4), 5)
    loss, logits = SmoothedCrossentropy(smoothing), logits.astype("float32")
    target = (1 - smoothing) * shares + smoothing / 4
    expected = -(target * log_p).sum(-1).mean()
    assert float(loss(shares.astype("float32"), logits)) == pytest.approx(expected, rel=1e-6)
    of_classes = loss(np.eye(4, dtype="float32")[labels], logits)
    assert float(of_classes) == pytest.approx(float(loss(labels, logits)), rel=1e-6)


def test_the_loss_survives_serialisation():
    loss = keras.losses.deserialize(keras.losses.serialize(SmoothedCrossentropy(0.2)))
    assert loss.label_smoothing == 0.2
