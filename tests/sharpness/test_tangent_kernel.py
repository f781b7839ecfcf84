"""The trace of the connectivity tangent kernel beside a dense Jacobian's, by plain TensorFlow."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.sharpness.networks import (
    convolutional,
    crossentropy,
    dense,
    examples_for,
    jacobian,
    parameters,
    randomized,
    residual,
    transformer,
)
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import connectivity_tangent_trace


def dense_shares(model, x):
    """Mean over examples of the sum over outputs of (J theta)^2, by variable."""
    rows = jacobian(model, lambda: model(x, training=False)).reshape(-1, model.count_params())
    squares = np.square(rows * parameters(model)).sum(0) / len(x)
    ends = np.cumsum([int(np.prod(v.shape)) for v in model.trainable_variables])[:-1]
    return np.array([part.sum() for part in np.split(squares, ends)])


def one_output():
    hidden = layers.Dense(5, activation="tanh", name="hidden")
    return randomized(keras.Sequential([keras.Input((4,)), hidden, layers.Dense(1, name="fc")]))


def test_of_one_output_it_is_exact_by_variable(double):
    model = one_output()
    x, _ = examples_for(model)
    result = connectivity_tangent_trace(model, "mse", (x, np.zeros((len(x), 1))), num_probes=2)
    np.testing.assert_allclose(result.shares, dense_shares(model, x), rtol=1e-12)
    assert result.standard_error == pytest.approx(0, abs=1e-12)
    assert result.total == pytest.approx(sum(result.by_layer.values()))


@pytest.mark.parametrize("make", [dense, residual, transformer])
def test_of_many_outputs_it_is_within_its_standard_errors(double, make):
    model = make()
    x, y = examples_for(model)
    result = connectivity_tangent_trace(model, crossentropy, (x, y), num_probes=100)
    apart = np.abs(result.shares - dense_shares(model, x))
    errors = np.array(list(result.standard_errors("variable").values()))
    assert (apart <= 5 * errors + 1e-7).all() and result.standard_error < 0.1 * result.total
    assert not np.allclose(result.shares, dense_shares(model, x), rtol=1e-6)  # it samples


def test_however_many_examples_are_held_it_is_the_same(double):
    model = convolutional()
    data = examples_for(model)
    found = [
        connectivity_tangent_trace(model, crossentropy, data, num_probes=2, examples_at_once=n)
        for n in (1, 4, 11)
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other.shares, found[0].shares, rtol=1e-12)
        np.testing.assert_allclose(other.errors, found[0].errors, rtol=1e-9)
    another = connectivity_tangent_trace(model, crossentropy, data, num_probes=2, seed=1)
    assert not np.allclose(another.shares, found[0].shares, rtol=1e-3)


def test_labels_do_not_enter():
    model = dense()
    x, y = examples_for(model)
    one, other = (
        connectivity_tangent_trace(model, crossentropy, (x, labels), num_probes=2)
        for labels in (y, np.roll(y, 1))
    )
    np.testing.assert_array_equal(one.shares, other.shares)
    assert one.loss != other.loss


def test_probes_are_counted_in_words():
    result = connectivity_tangent_trace(dense(), crossentropy, examples_for(dense()), num_probes=7)
    assert "7 probes" in str(result)


@pytest.mark.parametrize(
    "change, sentence",
    [({"num_probes": 1}, "num_probes"), ({"seed": -1}, "seed"), ({"examples_at_once": 0}, "at_on")],
)
def test_numbers_out_of_range(change, sentence):
    model = dense()
    with pytest.raises(BadInput, match=sentence):
        connectivity_tangent_trace(model, crossentropy, examples_for(model), **change)


def test_batch_statistics_leave_no_example_of_its_own():
    model = convolutional()
    with pytest.raises(BadInput, match="batch"):
        connectivity_tangent_trace(model, crossentropy, examples_for(model), training=True)
