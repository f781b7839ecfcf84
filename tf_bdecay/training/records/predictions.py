"""Predicts the test images; draws confusions, mistakes and first training images."""

import dataclasses

import numpy as np

from tf_bdecay import data
from tf_bdecay.training.fitting import loop
from tf_bdecay.training.records import prediction_pictures

MOST = 24  # mistakes that are shown
SHOWN = 40  # training pictures that are shown


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A misclassified picture.

    Attributes:
        picture: float32 [height, width, channels] in [0, 1], as the network received it.
        label, predicted: its true class and the predicted one.
        probability: the network's probability of the predicted class.
    """

    picture: np.ndarray
    label: int
    predicted: int
    probability: float


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The predictions of a split.

    Attributes:
        labels, predicted: int64 [n].
        mistakes: tuple of `Mistake`, the most confident first.
    """

    labels: np.ndarray
    predicted: np.ndarray
    mistakes: tuple

    @property
    def accuracy(self):
        """The fraction of correct predictions."""
        return float(np.mean(self.labels == self.predicted))


def predict(probabilities, batches, mean, deviation, most=MOST):
    """Predicts a split in one pass.

    Args:
        probabilities: function of float32 [b, height, width, channels], standardised, to
            [b, classes].
        batches: iterable of (standardised images, labels).
        mean, deviation: a float per channel, by which the images were standardised.
        most: how many mistakes to keep.

    Returns:
        `Predictions`.
    """
    labels, predicted, worst = [], [], []
    for x, y in batches:
        x, y = np.asarray(x), np.asarray(y)
        found = np.nan_to_num(np.asarray(probabilities(x)))
        best = found.argmax(-1)
        sure = found[np.arange(len(found)), best]
        labels.append(y)
        predicted.append(best)
        wrong = np.flatnonzero(best != y)
        for i in wrong[np.argsort(-sure[wrong], kind="stable")][:most]:
            picture = _pixels(x[i], mean, deviation)
            worst.append(Mistake(picture, int(y[i]), int(best[i]), float(sure[i])))
        worst = sorted(worst, key=lambda mistake: -mistake.probability)[:most]
    return Predictions(np.concatenate(labels), np.concatenate(predicted), tuple(worst))


def class_names(images):
    """The names of a data set's classes, or their numbers if they have no names."""
    return tuple(images.classes or map(str, range(images.num_classes)))


def of_test(experiment):
    """The `Predictions` of an experiment's model on the test images, with moving statistics."""
    import tensorflow as tf

    images, model = experiment.images, experiment.model
    like = tf.TensorSpec([None, *images.image_shape], tf.float32)

    @tf.function(input_signature=[like], autograph=False)
    def probabilities(x):
        return tf.nn.softmax(model(x, training=False))

    size = experiment.config.evaluation_batch_size
    batches = data.evaluation_batches(images, "test", size)
    with data.named_failures(images):
        return predict(probabilities, batches, images.mean, images.deviation)


def draw(experiment, folder, title):
    """Draws confusion.png and mistakes.png for the test images.

    Args:
        experiment: the `Experiment`, trained.
        folder: where to write them.
        title: of the run.
    """
    found, names = of_test(experiment), class_names(experiment.images)
    prediction_pictures.draw_confusion(folder / "confusion.png", found, names, title)
    prediction_pictures.draw_mistakes(folder / "mistakes.png", found, names, title)


def draw_first_pictures(experiment, folder, title):
    """Draws training.png: the run's first images as the network receives them.

    Args:
        experiment, folder, title: as in `draw`.
    """
    images = experiment.images
    with data.named_failures(images):
        x, labels = (np.asarray(part) for part in loop.first_pictures(experiment, SHOWN))
    pictures = _pixels(x, images.mean, images.deviation)
    names = [_words(label, class_names(images)) for label in labels]
    prediction_pictures.draw_training(folder / "training.png", pictures, names, title)


def _words(label, names):
    """The class of a label; for a mixed label, a line for each of two classes with its share."""
    if np.ndim(label) == 0:
        return names[label]
    first, second, *_ = np.argsort(-label, kind="stable")
    if label[first] > 0.995:
        return names[first]
    return "\n".join(f"{label[i]:.0%} {names[i]}" for i in (first, second))


def _pixels(x, mean, deviation):
    """Standardised images, converted to [0, 1]."""
    return np.clip(x * np.float32(deviation) + np.float32(mean), 0, 1)
