"""The metrics of every run, for labels that are classes or shares of classes.

A mixed picture has a soft label. Its accuracy is the share of the label that the predicted class
has:

    sum_c y_c [c is predicted]

as MixUp's authors count it. For a label that is a single class, this is the usual accuracy.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras


def accuracy(y_true, y_pred):
    """The share of a label that the most probable class has.

    Args:
        y_true: classes [n], or [n, 1], or shares of classes [n, classes].
        y_pred: logits [n, classes].

    Returns:
        float [n].
    """
    if not is_soft(y_true, y_pred):
        return keras.metrics.sparse_categorical_accuracy(y_true, y_pred)
    return _share(y_true, keras.ops.argmax(y_pred, axis=-1)[..., None])


def top5_accuracy(y_true, y_pred):
    """The share of a label that the five most probable classes have; otherwise as `accuracy`."""
    y_pred = keras.ops.cast(y_pred, "float32")  # TensorFlow's operation takes no other dtype
    if not is_soft(y_true, y_pred):
        return keras.metrics.sparse_top_k_categorical_accuracy(y_true, y_pred, k=5)
    return _share(y_true, keras.ops.top_k(y_pred, 5)[1])


def crossentropy(y_true, y_pred):
    """Cross-entropy of logits, -sum_c y_c log p_c, in nats: the loss where labels are not smoothed.

    Args:
        y_true, y_pred: as in `accuracy`.

    Returns:
        float [n].
    """
    if is_soft(y_true, y_pred):
        return keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True)
    labels = keras.ops.reshape(y_true, keras.ops.shape(y_pred)[:-1])
    labels = keras.ops.cast(labels, "int32")  # a metric casts labels to its own dtype
    return keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)


def is_soft(y_true, y_pred):
    """Whether labels are shares of the logits' classes rather than classes, by their shapes."""
    return len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == y_pred.shape[-1] > 1


def _share(labels, classes):
    """The summed shares that labels [n, classes] give to some classes [n, k]: [n]."""
    return keras.ops.sum(keras.ops.take_along_axis(labels, classes, axis=-1), axis=-1)


class Metric(NamedTuple):
    """A metric of runs.

    Attributes:
        of: function of labels and logits that returns its values.
        words: its name in TensorBoard.
        applies: function of number of classes and label smoothing: whether a run has it.
    """

    of: Callable
    words: str
    applies: Callable


# By name, in the order of the tables.
METRICS = {
    metric.of.__name__: metric
    for metric in (
        Metric(accuracy, "accuracy", lambda classes, smoothing: True),
        Metric(top5_accuracy, "top-5 accuracy", lambda classes, smoothing: classes > 5),
        Metric(  # where the loss is smoothed
            crossentropy,
            "cross-entropy, labels not smoothed,",
            lambda classes, smoothing: smoothing > 0,
        ),
    )
}


def names_of(config, images):
    """Names of the `METRICS` that a run has."""
    numbers = images.num_classes, config.label_smoothing
    return tuple(name for name, metric in METRICS.items() if metric.applies(*numbers))


def make(config, images):
    """New instances of a run's metrics."""
    return [
        keras.metrics.MeanMetricWrapper(METRICS[name].of, name=name)
        for name in names_of(config, images)
    ]
