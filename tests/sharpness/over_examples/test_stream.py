"""Examples of every form of data come once and in order, beside the arrays themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.sharpness.networks import convolutional, crossentropy, examples_for
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import connectivity, hessian
from tf_bdecay.sharpness.over_examples.stream import Stream

X, Y = np.ones((4, 5, 5, 2)), np.zeros(4, int)


@given(
    batches=st.lists(st.integers(1, 7), min_size=1, max_size=6),
    size=st.integers(1, 9),
    skipped=st.integers(0, 3),
)
def test_chunks_are_the_examples_in_their_order(batches, size, skipped):
    n = sum(batches)
    x, y = np.arange(2 * n).reshape(n, 2), np.arange(n)
    ends = np.cumsum(batches)[:-1]

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return len(batches)

        def __getitem__(self, index):
            return np.split(x, ends)[index], np.split(y, ends)[index]

    stream = Stream(Batches())
    start = skipped * size
    chunks = list(stream.chunks(size, start))
    assert stream.examples == n
    assert all(len(c.x) == len(c.y) == size for c in chunks)
    kept_x = [c.x[: c.kept] for c in chunks]
    np.testing.assert_array_equal(np.concatenate([x[:0], *kept_x]), x[start:])
    assert [c.start for c in chunks] == list(range(start, n, size))
    assert all((c.y[c.kept :] == c.y[c.kept - 1]).all() for c in chunks)


def test_every_form_of_data_is_the_same_data(double):
    model = convolutional()
    x, y = examples_for(model)
    forms = [
        (x, y),
        [tf.constant(x), y.astype("int32")],
        tf.data.Dataset.from_tensor_slices((x, y)).batch(3),
    ]
    totals = [connectivity(model, crossentropy, form, examples_at_once=4).total for form in forms]
    assert totals == pytest.approx([totals[0]] * 3, rel=1e-12)


def test_structures_are_cut_leaf_by_leaf():
    stream = Stream(({"a": np.arange(5), "b": np.arange(10).reshape(5, 2)}, np.arange(5)))
    last = list(stream.chunks(3))[-1]
    assert last.x["a"].tolist() == [3, 4, 4] and last.x["b"].tolist() == [[6, 7], [8, 9], [8, 9]]


@pytest.mark.parametrize(
    "data, sentence",
    [
        (X, "must be examples with targets: .*Received: ndarray"),
        ((1, 2, 3), "have weights, .* leave the weights out"),
        ((1, 2, 3, 4), "must be examples with targets: .*Received: tuple of 4"),
        (((i for i in range(3))), "must be examples with targets: .*Received: generator"),
        ((X, Y[:3]), "as many .*Received: 4 and 3"),
        ((X, 3), "as many .*Received: 4 and a scalar"),
        (
            (X, [0] * 5000),
            "must be arrays .*Received: 4 and (a scalar, ){3}a scalar and 4996 more$",
        ),
        ((X, {i: None for i in range(5000)}), "made tensors. Received: .{,99} and 4996 more "),
        ((X[:0], Y[:0]), "hold no examples"),
        ((X, None), "made tensors. Received: ndarray and NoneType"),
        ((np.array([{}] * 4), Y), "made tensors. Received: ndarray and ndarray"),
        (tf.data.Dataset.from_tensor_slices(X).batch(2), "examples with targets.*ndarray"),
        (tf.data.Dataset.from_tensor_slices((X, Y)), r"give batches of them, data.batch\(n\)"),
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(2).repeat(), "never ends.*data.take"),
        (tf.data.Dataset.from_tensor_slices((X, Y)).batch(2).take(0), "hold no examples"),
    ],
)
@pytest.mark.quick_rows(6)
def test_data_that_cannot_be_measured_are_refused(data, sentence):
    with pytest.raises(BadInput, match=sentence):
        connectivity(convolutional(), crossentropy, data)


def test_data_that_do_not_repeat_themselves_are_refused():
    model = convolutional()
    x, y = examples_for(model, 8)
    rng = np.random.default_rng(0)

    class Noisy(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            part = slice(4 * index, 4 * index + 4)
            return x[part] + rng.normal(size=(4, *x.shape[1:])), y[part]

    operator = hessian(model, crossentropy, Noisy())
    operator.matvec(np.ones(operator.shape[0]))
    with pytest.raises(BadInput, match="The mean loss was .* at first and .* read again"):
        operator.matvec(np.ones(operator.shape[0]))

    state = {"length": 8}

    def shrinking():
        state["length"] -= 1
        return ((x[i], y[i]) for i in range(state["length"]))

    spec = (tf.TensorSpec(x.shape[1:], x.dtype), tf.TensorSpec((), y.dtype))
    data = tf.data.Dataset.from_generator(shrinking, output_signature=spec).batch(4)
    operator = hessian(model, crossentropy, data)
    operator.matvec(np.ones(operator.shape[0]))
    with pytest.raises(BadInput, match="gave 7 examples at first and 6 when it was read again"):
        operator.matvec(np.ones(operator.shape[0]))


@pytest.mark.parametrize(
    "x, y, why",
    [
        (np.zeros(3, "datetime64[D]"), np.zeros(3), "an array of datetime64"),
        (np.zeros(3), np.zeros(3, "timedelta64[s]"), "an array of timedelta64"),
        (np.zeros(3), np.zeros(3, complex), "y is complex, which no loss takes"),
        (np.zeros(3, [("a", "f4"), ("b", "f4")]), np.zeros(3), "an array of ."),
        (np.array([{}, {}]), np.zeros(2), "an array of Python objects"),
    ],
)
def test_arrays_that_no_model_or_loss_takes(x, y, why):
    with pytest.raises(BadInput, match=f"that can be made tensors.*{why}"):
        Stream((x, y))
