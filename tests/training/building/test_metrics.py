"""Accuracies for labels given as classes or as shares of classes, on any backend."""

import types

import keras
import numpy as np
import pytest

from tf_bdecay.training.building import metrics
from tf_bdecay.training.building.metrics import accuracy, crossentropy, is_soft, top5_accuracy

pytestmark = pytest.mark.any_backend

LOGITS = np.random.default_rng(0).normal(size=(40, 9)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 9, 40)
ORDER = np.argsort(-LOGITS, axis=1)


def shares_of_classes():
    return np.random.default_rng(2).dirichlet(np.full(9, 0.3), 40).astype("float32")


@pytest.mark.parametrize("metric, k", [(accuracy, 1), (top5_accuracy, 5)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_share_of_a_label_that_the_prediction_has(metric, k, dtype):
    shares = shares_of_classes()
    logits = keras.ops.convert_to_tensor(2.0 ** ORDER.argsort(1), dtype)  # the same order in both
    order = np.argsort(-np.float64(2.0 ** ORDER.argsort(1)), axis=1)
    expected = np.take_along_axis(shares, order[:, :k], 1).sum(1)
    found = keras.ops.convert_to_numpy(metric(keras.ops.convert_to_tensor(shares), logits))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("metric, k", [(accuracy, 1), (top5_accuracy, 5)])
def test_of_classes_it_is_the_usual_accuracy(metric, k):
    expected = (ORDER[:, :k] == LABELS[:, None]).any(1).mean()
    for labels in (LABELS, LABELS[:, None], np.eye(9, dtype="float32")[LABELS]):
        counted = keras.metrics.MeanMetricWrapper(metric, name="found")
        for part in (slice(0, 32), slice(32, 40)):  # batches of two sizes
            counted.update_state(labels[part], LOGITS[part])
        assert float(counted.result()) == pytest.approx(expected, rel=1e-6)


def test_the_crossentropy_is_minus_the_log_of_the_labels_probability():
    logits = LOGITS.astype("float64")
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    shares = shares_of_classes()
    one_hot = np.eye(9, dtype="float32")[LABELS]
    for labels, weights in (
        (LABELS, one_hot), (LABELS[:, None], one_hot), (one_hot, one_hot), (shares, shares),
    ):  # fmt: skip
        mean = keras.metrics.MeanMetricWrapper(crossentropy, name="found")
        for part in (slice(0, 32), slice(32, 40)):
            mean.update_state(labels[part], LOGITS[part])
        assert float(mean.result()) == pytest.approx(-(weights * logs).sum(1).mean(), rel=1e-5)


def test_what_is_soft_follows_from_shapes():
    assert is_soft(np.zeros((3, 4)), np.zeros((3, 4)))
    assert not is_soft(np.zeros(3), np.zeros((3, 4)))
    assert not is_soft(np.zeros((3, 1)), np.zeros((3, 4)))
    assert not is_soft(np.zeros((3, 1)), np.zeros((3, 1)))  # of the only class


@pytest.mark.parametrize(
    "classes, smoothing, more",
    [
        (5, 0.0, ()),
        (6, 0.0, ("top5_accuracy",)),
        (5, 0.1, ("crossentropy",)),
        (6, 0.1, ("top5_accuracy", "crossentropy")),
    ],
)
def test_a_run_has_the_metrics_that_say_something_of_it(classes, smoothing, more):
    config = types.SimpleNamespace(label_smoothing=smoothing)
    images = types.SimpleNamespace(num_classes=classes)
    assert metrics.names_of(config, images) == ("accuracy", *more)
    assert tuple(metric.name for metric in metrics.make(config, images)) == ("accuracy", *more)
