"""AdamW equals the NumPy oracle and Keras' AdamW."""

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.optim import problem
from tests.optim.oracle import Oracle
from tf_bdecay import decay
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize(
    ("policy", "numbers", "threshold"),
    [
        (decay.NoBiasDecay(0.1), (0.1, 0, 0, 0), None),
        (decay.AdaptiveBetaDecay(0.1), (0.1, 0.1, 0, 1.0), 0.1),
    ],
    ids=["kernels", "adaptive"],
)
def test_equals_the_oracle(policy, numbers, threshold):
    coefficients = dict(zip(("kernel", "bias", "gamma", "beta"), numbers, strict=True))
    thetas = problem.initial()
    oracle = Oracle(thetas, coefficients, threshold)
    double = keras.backend.backend() == "tensorflow"  # JAX: not unless told before it starts
    keras.config.set_floatx("float64" if double else "float32")
    variables = problem.make_variables(thetas, keras.config.floatx())
    optimizer = tf_bdecay.AdamW(0.01, policy, compile_update=False)
    for gradient in problem.gradients(4):
        before = problem.values(variables)
        oracle.theta = dict(zip(thetas, before, strict=True))
        problem.apply(optimizer, variables, gradient)
        oracle.adamw(gradient, 0.01)
        change = [b - a for a, b in zip(before, problem.values(variables), strict=True)]
        expected = [b - a for a, b in zip(before, oracle.theta.values(), strict=True)]
        assert problem.relative_error(change, expected) < (1e-10 if double else 1e-5)
        if threshold:
            on = [oracle.on[layer] for layer in optimizer.decision().layers]
            assert list(optimizer.decision().decay_on) == on
    assert (optimizer.decision().trust_ratio == 1).all()


def test_equals_keras_own_with_kernels_only():
    """Keras adds epsilon to a root that is not corrected: both are far below the root here."""
    theirs = keras.optimizers.AdamW(0.01, weight_decay=0.3, epsilon=1e-12)
    theirs.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    ours = tf_bdecay.AdamW(0.01, decay.NoBiasDecay(0.3), epsilon=1e-12, compile_update=False)
    found, expected = (problem.make_variables(problem.initial()) for _ in "ab")
    for gradient in problem.gradients(3):
        problem.apply(ours, found, gradient)
        problem.apply(theirs, expected, gradient)
    for a, b in zip(problem.values(found), problem.values(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_round_trip_and_bad_arguments():
    optimizer = tf_bdecay.AdamW(0.2, decay.FullDecay(0.1), beta_1=0.8, use_ema=True)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is tf_bdecay.AdamW
    assert again.get_config() == optimizer.get_config()
    assert tf_bdecay.AdamW().weight_decay == decay.NoBiasDecay(0.01)
    for arguments in ({"beta_1": 1.0}, {"epsilon": -1.0}, {"use_emma": True}, {"clipnorm": 1.0}):
        with pytest.raises(BadInput, match=next(iter(arguments))):
            tf_bdecay.AdamW(**arguments)
    with pytest.raises(BadInput, match="which variables decay"):
        tf_bdecay.AdamW(weight_decay=0.01)  # as Keras and PyTorch take it
