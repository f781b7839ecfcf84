"""Pictures of what a network is trained on, and of what it takes for what when it is trained."""

import dataclasses

import numpy as np

from tf_bdecay import data
from tf_bdecay.training.fitting import loop
from tf_bdecay.training.records import prediction_pictures

MOST = 24  # mistakes that are shown
SHOWN = 40  # pictures to train on


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A picture that was taken for another class.

    Attributes:
        picture: float32 [height, width, channels] in [0, 1], as the network was given it.
        label, predicted: its class, and what it was taken for.
        probability: of that, by the network.
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
        """The share that is right."""
        return float(np.mean(self.labels == self.predicted))


def predict(probabilities, batches, mean, deviation, most=MOST):
    """Goes through a split once.

    Args:
        probabilities: function of float32 [b, height, width, channels], standardised, to
            [b, classes].
        batches: iterable of (standardised images, labels).
        mean, deviation: a float a channel, by which the images were standardised.
        most: how many mistakes are kept.

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
    """The names of a data set's classes; their numbers where it has none."""
    return tuple(images.classes or map(str, range(images.num_classes)))


def of_test(experiment):
    """The `Predictions` of an experiment's model on the test images, by moving statistics."""
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
    """Draws confusion.png and mistakes.png of the test images.

    Args:
        experiment: the `Experiment`, trained.
        folder: where they go.
        title: of the run.
    """
    found, names = of_test(experiment), class_names(experiment.images)
    prediction_pictures.draw_confusion(folder / "confusion.png", found, names, title)
    prediction_pictures.draw_mistakes(folder / "mistakes.png", found, names, title)


def draw_training(experiment, folder, title):
    """Draws training.png: the run's first images as the network is given them.

    Args:
        experiment, folder, title: as of `draw`.
    """
    images = experiment.images
    with data.named_failures(images):
        x, labels = (np.asarray(part) for part in loop.first_pictures(experiment, SHOWN))
    pictures = _pixels(x, images.mean, images.deviation)
    names = [_words(label, class_names(images)) for label in labels]
    prediction_pictures.draw_training(folder / "training.png", pictures, names, title)


def _words(label, names):
    """The class of a label; of one that is mixed, a line for each of the two and its share."""
    if np.ndim(label) == 0:
        return names[label]
    first, second, *_ = np.argsort(-label, kind="stable")
    if label[first] > 0.995:
        return names[first]
    return "\n".join(f"{label[i]:.0%} {names[i]}" for i in (first, second))


def _pixels(x, mean, deviation):
    """Images in [0, 1] of standardised ones."""
    return np.clip(x * np.float32(deviation) + np.float32(mean), 0, 1)
