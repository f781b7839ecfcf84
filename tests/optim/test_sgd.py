"""SGD equals the NumPy oracle."""

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.optim import problem
from tests.optim.oracle import Oracle
from tf_bdecay import decay
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize(
    ("policy", "numbers", "threshold"),
    [
        (decay.FullDecay(0.1), (0.1, 0.1, 0.1, 0.1), None),
        (decay.AdaptiveBetaDecay(), (0.01, 0.01, 0, 1.0), 0.1),
    ],
    ids=["full", "adaptive"],
)
@pytest.mark.quick_rows(4)
def test_equals_the_oracle(policy, numbers, threshold, nesterov, coupled):
    coefficients = dict(zip(("kernel", "bias", "gamma", "beta"), numbers, strict=True))
    thetas = problem.initial()
    oracle = Oracle(thetas, coefficients, threshold)
    double = keras.backend.backend() == "tensorflow"  # JAX: not unless told before it starts
    keras.config.set_floatx("float64" if double else "float32")
    variables = problem.make_variables(thetas, keras.config.floatx())
    optimizer = tf_bdecay.SGD(
        0.01, 0.9, nesterov, weight_decay=policy, coupled=coupled, compile_update=False
    )
    for gradient in problem.gradients(6):
        before = problem.values(variables)
        oracle.theta = dict(zip(thetas, before, strict=True))
        problem.apply(optimizer, variables, gradient)
        oracle.sgd(gradient, 0.01, 0.9, nesterov, coupled)
        change = [b - a for a, b in zip(before, problem.values(variables), strict=True)]
        expected = [b - a for a, b in zip(before, oracle.theta.values(), strict=True)]
        if double:
            assert problem.relative_error(change, expected) < 1e-10
        else:  # where beta hardly moves its change is all rounding
            together = [np.concatenate([x.ravel() for x in c]) for c in (change, expected)]
            assert problem.relative_error([together[0]], [together[1]]) < 1e-5
        if threshold:
            on = [oracle.on[layer] for layer in optimizer.decision().layers]
            assert list(optimizer.decision().decay_on) == on


def test_coupled_decay_is_that_of_an_l2_penalty():
    """lambda theta added to g is the gradient of lambda/2 ||theta||^2."""
    variables, others = (problem.make_variables(problem.initial()) for _ in "ab")
    coupled = tf_bdecay.SGD(0.1, weight_decay=decay.FullDecay(0.3), compile_update=False)
    plain = tf_bdecay.SGD(0.1, weight_decay=decay.NoDecay(), compile_update=False)
    for gradient in problem.gradients(4):
        values = problem.values(others)
        penalised = {k: g + 0.3 * v for (k, g), v in zip(gradient.items(), values, strict=True)}
        problem.apply(coupled, variables, gradient)
        problem.apply(plain, others, penalised)
    for a, b in zip(problem.values(variables), problem.values(others), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_round_trip_and_bad_arguments():
    optimizer = tf_bdecay.SGD(0.2, 0.8, True, weight_decay=decay.FullDecay(0.1), coupled=False)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    with pytest.raises(BadInput, match="momentum"):
        tf_bdecay.SGD(momentum=1.0)
    with pytest.raises(BadInput, match="which variables decay"):
        tf_bdecay.SGD(weight_decay=5e-4)
