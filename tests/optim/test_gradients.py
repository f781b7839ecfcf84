"""The gradients that `apply` accepts, and those that it refuses."""

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.optim import problem
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def made(cls=tf_bdecay.Lamb, **options):
    variables = problem.make_variables(problem.initial())
    return cls(0.01, compile_update=False, **options), variables


def test_no_gradient_at_all_is_an_error():
    optimizer, variables = made()
    with pytest.raises(ValueError, match="No gradients"):
        optimizer.apply([None] * len(variables), variables)


def test_an_unknown_variable_is_an_error():
    optimizer, variables = made()
    optimizer.build(variables)
    stranger = problem.make_variables({"other/kernel": np.ones((2, 2))})
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply([keras.ops.ones((2, 2))], stranger)


def test_gradients_and_variables_must_match():
    optimizer, variables = made()
    with pytest.raises(BadInput, match="one gradient for each of 9 variables"):
        optimizer.apply([keras.ops.ones((2, 2))], variables)


def test_a_gradient_of_another_shape_is_refused():
    optimizer, variable = tf_bdecay.SGD(0.1), keras.Variable(np.zeros((2, 3), "float32"), name="w")
    with pytest.raises(BadInput, match=r"must have its shape, \(2, 3\)\. Received: \(3, 2\)"):
        optimizer.apply([keras.ops.ones((3, 2))], [variable])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's graphs")
@pytest.mark.parametrize("shape", [(2, 3), (200, 30)])  # packed with others, and by itself
def test_a_gradient_whose_shape_a_graph_does_not_know_is_applied(shape):
    import tensorflow as tf

    optimizer, variable = tf_bdecay.SGD(0.1), keras.Variable(np.zeros(shape, "float32"), name="w")
    optimizer.build([variable])

    @tf.function(input_signature=[tf.TensorSpec(None)], autograph=False)
    def apply(gradient):
        optimizer.apply([gradient], [variable])

    apply(tf.ones(shape))
    assert (variable.numpy() < 0).all()
