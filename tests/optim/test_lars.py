"""LARS equals the NumPy oracle."""

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.optim import problem
from tests.optim.oracle import Oracle
from tf_bdecay import decay
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend
KERNELS = {k for k in problem.SHAPES if k.endswith("kernel")}


@pytest.mark.parametrize(
    ("policy", "numbers", "threshold", "adaptation", "options"),
    [
        (decay.NoBiasDecay(0.1), (0.1, 0, 0, 0), None, "kernels", {}),
        (decay.FullDecay(0.1), (0.1,) * 4, None, "all", {"nesterov": True, "epsilon": 1e-3}),
        (decay.AdaptiveBetaDecay(0.1), (0.1, 0.1, 0, 1.0), 0.1, "all", {"momentum": 0.5}),
    ],
    ids=["kernels", "all, nesterov", "adaptive"],
)
@pytest.mark.quick_rows(1)
def test_equals_the_oracle(policy, numbers, threshold, adaptation, options):
    coefficients = dict(zip(("kernel", "bias", "gamma", "beta"), numbers, strict=True))
    thetas = problem.initial()
    adapted = KERNELS if adaptation == "kernels" else set(thetas)
    oracle = Oracle(thetas, coefficients, threshold, adapted)
    double = keras.backend.backend() == "tensorflow"  # JAX: not unless told before it starts
    keras.config.set_floatx("float64" if double else "float32")
    variables = problem.make_variables(thetas, keras.config.floatx())
    optimizer = tf_bdecay.Lars(
        0.1, policy, adaptation, trust_coefficient=0.2, compile_update=False, **options
    )
    for t, gradient in enumerate(problem.gradients(4)):
        before = problem.values(variables)
        oracle.theta = dict(zip(thetas, before, strict=True))
        rate = optimizer.learning_rate = 0.1 / (t + 1)  # inside the momentum
        problem.apply(optimizer, variables, gradient)
        oracle.lars(gradient, rate, 0.2, **options)
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
    ratios = dict(zip(thetas, optimizer.decision().trust_ratio, strict=True))
    assert all((ratio != 1) == (name in adapted) for name, ratio in ratios.items())


def test_an_adapted_variable_goes_the_trust_coefficient_of_its_norm():
    variables = problem.make_variables(problem.initial())
    before = dict(zip(problem.SHAPES, problem.values(variables), strict=True))
    optimizer = tf_bdecay.Lars(0.5, decay.NoDecay(), compile_update=False)
    problem.apply(optimizer, variables, problem.gradients(1, scale=1e4)[0])
    for name, new in zip(problem.SHAPES, problem.values(variables), strict=True):
        moved = np.linalg.norm(new - before[name]) / np.linalg.norm(before[name])
        assert (moved == pytest.approx(0.5 * 0.001, rel=1e-3)) == (name in KERNELS), name


def test_round_trip_and_bad_arguments():
    optimizer = tf_bdecay.Lars(
        2.0, decay.FullDecay(0.1), "all", trust_coefficient=0.01, nesterov=True, epsilon=1e-9
    )
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert tf_bdecay.Lars().weight_decay == decay.NoBiasDecay(0.0001)
    for arguments in (
        {"trust_coefficient": 0.0},
        {"momentum": 1.0},
        {"nesterov": 1},
        {"epsilon": float("nan")},
        {"layer_adaptation": "kernel"},
    ):
        with pytest.raises(BadInput, match=f"{next(iter(arguments))}.*of Lars"):
            tf_bdecay.Lars(**arguments)
