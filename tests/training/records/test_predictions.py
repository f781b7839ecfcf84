"""One pass over a split gives predictions, the most confident mistakes, and their pictures."""

import types

import numpy as np
import pytest
from PIL import Image

from tf_bdecay.training.records import predictions

MEAN, DEVIATION = (0.5, 0.25, 0.1), (0.2, 0.3, 0.5)


def batches(count=40, size=7):
    """Pictures in [0, 1], their standardised batches, labels and probabilities by index."""
    rng = np.random.default_rng(0)
    pictures = rng.random((count, 4, 4, 3)).astype("float32")
    pictures[:, 0, 0, 0] = np.arange(count) / count  # by which the probabilities are found
    labels = rng.integers(0, 5, count)
    table = rng.dirichlet(np.ones(5), count).astype("float32")
    x = (pictures - np.float32(MEAN)) / np.float32(DEVIATION)

    def probabilities(x):
        first = x[:, 0, 0, 0] * np.float32(DEVIATION[0]) + np.float32(MEAN[0])
        return table[np.rint(first * count).astype(int)]

    parts = [(x[i : i + size], labels[i : i + size]) for i in range(0, count, size)]
    return pictures, labels, table, probabilities, parts


@pytest.mark.parametrize("most", [3, 24, 100])
def test_the_most_confident_mistakes_are_found_over_all_batches(most):
    pictures, labels, table, probabilities, parts = batches()
    found = predictions.predict(probabilities, parts, MEAN, DEVIATION, most)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.predicted, table.argmax(1))
    assert found.accuracy == np.mean(table.argmax(1) == labels)
    wrong = [i for i in np.argsort(-table.max(1)) if table[i].argmax() != labels[i]]
    assert len(found.mistakes) == min(most, len(wrong)) > 2
    for mistake, i in zip(found.mistakes, wrong, strict=False):
        assert (mistake.label, mistake.predicted) == (labels[i], table[i].argmax())
        assert mistake.probability == pytest.approx(table[i].max())
        np.testing.assert_allclose(mistake.picture, pictures[i], atol=1e-6)


def test_probabilities_that_are_not_finite_do_no_harm():
    pictures, labels, _, _, parts = batches()
    found = predictions.predict(lambda x: np.full((len(x), 5), np.nan), parts, MEAN, DEVIATION)
    assert found.accuracy == np.mean(labels == 0)
    assert {mistake.probability for mistake in found.mistakes} == {0.0}


def test_names_of_classes_are_the_sets_own_or_numbers():
    named = types.SimpleNamespace(num_classes=2, classes=("cat", "dog"))
    assert predictions.class_names(named) == ("cat", "dog")
    assert predictions.class_names(types.SimpleNamespace(classes=None, num_classes=3)) == (
        "0",
        "1",
        "2",
    )


def test_a_run_leaves_the_pictures_of_its_test_images(finished):
    made, path, result = finished
    found = predictions.of_test(made)
    assert found.accuracy == pytest.approx(result["test_accuracy"])
    np.testing.assert_array_equal(found.labels, made.images.test.labels)
    mistake = found.mistakes[0]
    same = np.abs(made.images.test.images / 255 - mistake.picture).max((1, 2, 3)) < 1e-5
    assert mistake.label in made.images.test.labels[same]
    for name in ("confusion.png", "mistakes.png"):
        with Image.open(path / name) as picture:
            assert min(picture.size) > 400


def test_a_label_that_is_mixed_names_both_classes():
    assert predictions._words(np.int64(1), ("cat", "dog")) == "dog"
    mixed = np.array([0.25, 0.0, 0.75])
    assert predictions._words(mixed, ("cat", "dog", "eel")) == "75% eel\n25% cat"
    assert predictions._words(np.array([0.0, 1.0]), ("cat", "dog")) == "dog"
