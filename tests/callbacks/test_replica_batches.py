"""The batches are those that `fit` would make of the same data."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_bdecay.callbacks.replica_batches import for_replicas
from tf_bdecay.errors import BadInput

X, Y = np.arange(80.0).reshape(40, 2), np.arange(40)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, i):
        return X[16 * i : 16 * (i + 1)], Y[16 * i : 16 * (i + 1)]


def batches(data):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    return list(for_replicas(model, data, 16, of="measure"))


def data_of(kind):
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16).take(2)
    return {
        "arrays": X, "pair": (X, Y), "weighted": (X, Y, None), "dataset": dataset,
        "list": list(dataset.as_numpy_iterator()), "py_dataset": Batches(),
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["arrays", "pair", "weighted", "dataset", "list", "py_dataset"])
def test_of_all_data_that_fit_takes(kind):
    found = batches(data_of(kind))
    assert len(found) == 2  # the last, smaller batch of arrays is left out
    for i, batch in enumerate(found):
        x, *y = [batch] if kind == "arrays" else batch
        part = slice(16 * i, 16 * (i + 1))
        np.testing.assert_array_equal(x, X[part])
        if y:
            np.testing.assert_array_equal(y[0], Y[part])


def test_arrays_of_less_than_a_batch_are_one():
    (found,) = batches(X[:5])
    np.testing.assert_array_equal(found, X[:5])


@pytest.mark.parametrize(
    "data, said",
    [
        (None, "`data` of measure must be arrays, or batches.*Received: NoneType"),
        ((X.tolist(), X.tolist()), "one of a list. Received: tuple"),
        ((X, X[:3]), r"`data` of measure must be of one length. Received: lengths .3, 40."),
    ],
)
def test_other_data_are_refused_in_a_sentence(data, said):
    with pytest.raises(BadInput, match=said):
        batches(data)
