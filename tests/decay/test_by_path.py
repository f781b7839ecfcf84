"""Decay coefficients by path take precedence over those of a policy."""

import math

import keras
import numpy as np
import pytest
from keras import ops

import tf_bdecay
from tests.optim import problem
from tf_bdecay import decay
from tf_bdecay.errors import BadInput
from tf_bdecay.roles import VariableRole

pytestmark = pytest.mark.any_backend


def variable(path, role, partner=None):
    return VariableRole(0, path, path, (3,), role, "layer", partner)


KERNEL, BIAS = variable("net/conv/kernel", "kernel"), variable("net/head/bias", "bias")
BETA, ALONE = variable("net/norm/beta", "beta", 1), variable("net/shift/beta", "beta")


def test_what_a_pattern_names_has_its_own_coefficient():
    policy = decay.WithPaths(decay.NoBiasDecay(0.1), {"head/.*": 0.5, "head/bias": 0.2})
    assert policy.coefficient(KERNEL) == 0.1
    assert policy.coefficient(BIAS) == 0.2  # the last one counts
    assert policy.coefficient(BETA) == 0.0


def test_a_beta_that_is_named_is_switched_as_before():
    inside = decay.AdaptiveBetaDecay(threshold=0.3, source="probe")
    policy = decay.WithPaths(inside, {"norm/beta": 2.0, "shift/beta": 0.1})
    assert (policy.adaptive, policy.source, policy.threshold) == (True, "probe", 0.3)
    ratio = ops.convert_to_tensor(np.array([0.1, 0.3], "float32"))
    assert list(ops.convert_to_numpy(policy.decide(ratio))) == [False, True]
    assert policy.may_decay(BETA) and policy.may_decay(ALONE)
    never = decay.WithPaths(decay.AdaptiveBetaDecay(threshold=math.inf), policy.paths)
    assert not never.may_decay(BETA) and never.may_decay(ALONE)
    assert not decay.WithPaths(inside, {"norm/beta": 0.0}).may_decay(BETA)


def test_a_policy_of_ones_own_is_still_asked():
    class Own(decay.DecayPolicy):
        def coefficient(self, variable):
            return 1.0

        def may_decay(self, variable):
            return variable.role == "bias"

    policy = decay.WithPaths(Own(), {"conv/kernel": 0.5})
    assert policy.may_decay(BIAS) and policy.may_decay(KERNEL) and not policy.may_decay(BETA)
    assert policy.threshold is None


def test_it_comes_back_from_its_config():
    policy = decay.WithPaths(decay.BetaDecay(0.2), {"head/bias": 0.0, ".*/kernel": 0.3})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(policy))
    assert again == policy and again.coefficient(KERNEL) == 0.3
    assert hash(again) == hash(policy)
    assert again != decay.WithPaths(decay.BetaDecay(0.1), policy.paths)
    optimizer = tf_bdecay.Lamb(weight_decay=policy)
    assert keras.optimizers.deserialize(keras.optimizers.serialize(optimizer)).weight_decay == again


def test_one_update_is_that_of_a_policy_with_these_coefficients():
    by_path = decay.WithPaths(decay.NoDecay(), {"kernel": 0.3})
    found, expected = (problem.make_variables(problem.initial()) for _ in "ab")
    for variables, policy in ((found, by_path), (expected, decay.NoBiasDecay(0.3))):
        optimizer = tf_bdecay.SGD(0.1, weight_decay=policy, compile_update=False)
        problem.apply(optimizer, variables, problem.gradients(1)[0])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_the_table_shows_it():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
    policy = decay.WithPaths(decay.NoBiasDecay(), {"head/bias": 0.25})
    rows = tf_bdecay.describe(model, policy).rows
    assert [row.decay for row in rows] == [0.01, 0.25]
    assert "WithPaths(NoBiasDecay(kernel=0.01), {'head/bias': 0.25})" in str(
        tf_bdecay.describe(model, policy)
    )


def test_bad_arguments():
    with pytest.raises(BadInput, match="`policy` of WithPaths must be a policy"):
        decay.WithPaths(0.01, {})
    with pytest.raises(BadInput, match="`paths` of WithPaths must be a dict"):
        decay.WithPaths(decay.NoDecay(), 0.1)
    with pytest.raises(BadInput, match=r"`paths\['kernel'\]` of WithPaths must be a number >= 0"):
        decay.WithPaths(decay.NoDecay(), {"kernel": -0.1})
    policy = decay.WithPaths(decay.NoDecay(), {"kernels": 0.1})
    with pytest.raises(BadInput, match="'kernels' in `paths` of WithPaths matches no trainable"):
        tf_bdecay.Lamb(weight_decay=policy).build(problem.make_variables(problem.initial()))
