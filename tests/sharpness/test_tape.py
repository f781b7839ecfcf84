import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_bdecay.sharpness import loss_gradients_and_sensitivity


@pytest.fixture
def variables():
    return [keras.Variable([1.0, -2.0]), keras.Variable([[3.0]]), keras.Variable([4.0])]


def objective(variables):
    a, b, _ = variables

    def value():
        loss = tf.reduce_sum(a.value**2) + 5 * b.value[0, 0]
        return loss, "outputs"

    return value


def test_values_of_one_backward_pass(variables):
    loss, aux, gradients, c = loss_gradients_and_sensitivity(objective(variables), variables)
    assert float(loss) == 20 and aux == "outputs"
    np.testing.assert_array_equal(gradients[0], [2, -4])
    np.testing.assert_array_equal(gradients[1], [[5]])
    assert gradients[2] is None  # left to the optimizer, which leaves such a variable as it is
    assert [float(x) for x in c] == [2 * 1 + 4 * 2, 5 * 3, 0]


def test_loss_scale_is_in_the_gradients_alone(variables):
    loss, _, gradients, c = loss_gradients_and_sensitivity(
        objective(variables), variables, scale_loss=lambda loss: loss * 1024
    )
    assert float(loss) == 20
    np.testing.assert_array_equal(gradients[0], [2048, -4096])
    assert [float(x) for x in c] == [10, 15, 0]


def test_sensitivities_may_be_left_out(variables):
    *_, gradients, c = loss_gradients_and_sensitivity(
        objective(variables), variables, sensitivities=False
    )
    assert c is None and len(gradients) == 3


def test_sparse_gradients_count_repeated_rows_once():
    table = keras.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    rows = tf.constant([0, 2, 2])

    def value():
        return tf.reduce_sum(tf.gather(table.value, rows) * [[1.0], [1.0], [-1.0]]), None

    _, _, (gradient,), (c,) = loss_gradients_and_sensitivity(value, [table])
    assert isinstance(gradient, tf.IndexedSlices)
    assert float(c) == 1 + 2  # the two uses of row 2 cancel before the absolute value
