import numpy as np
import pytest

from tf_bdecay.data.pictures.layouts.arrays import labels_of_splits
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_numbers_stay_as_they_are(kind):
    labels, classes = labels_of_splits("p", {"train": np.array([3, 1, 2], kind)})
    assert classes is None
    labels_of_splits("p", {"train": np.array([5, 1], kind)}, named=True)  # with gaps, too
    assert labels["train"].dtype == np.int64
    np.testing.assert_array_equal(labels["train"], [3, 1, 2])


@pytest.mark.parametrize("kind", [str, object])
def test_words_are_numbered_in_order_over_all_splits(kind):
    stored = {"train": np.array(["n9", "b", "n10"], kind), "test": np.array(["n10", "n9"], kind)}
    labels, classes = labels_of_splits("p", stored)
    assert classes == ("b", "n10", "n9")
    np.testing.assert_array_equal(labels["train"], [2, 0, 1])
    np.testing.assert_array_equal(labels["test"], [1, 2])


@pytest.mark.parametrize(
    "train, test, words",
    [
        ([0, 1], [1, 2], "in test alone: 2"),
        (["a", "b"], ["z", "a", "y"], "in test alone: 'y', 'z'"),
        (["0", "1"], [0, 1], "Received words in 'train' alone"),
        ([0, 5, 1], [0], "without gaps. Received labels from 0 to 5, and none of 2"),
        ([0, -1], [0], "must be numbers >= 0. Received in train of p: -1, at 1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(train, test, words):
    with pytest.raises(BadInput, match=words):
        labels_of_splits("p", {"train": np.array(train), "test": np.array(test)})
