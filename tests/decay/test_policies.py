"""Policies give the coefficients of docs/method.md's table, and survive serialisation."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from tf_bdecay import decay
from tf_bdecay.errors import BadInput
from tf_bdecay.roles import VariableRole

pytestmark = pytest.mark.any_backend

ALL = [
    decay.NoDecay(),
    decay.FullDecay(0.3),
    decay.NoBiasDecay(0.3),
    decay.BiasDecay(0.3, 0.2),
    decay.GammaDecay(0.3, 0.2, 0.1),
    decay.BetaDecay(0.3, 0.2, 0.1, 0.05),
    decay.AdaptiveBetaDecay(0.3, 0.2, 0.7, 0.1, 0.05, 0.4, "probe"),
]


# docs/method.md: w = 0.01, beta's decay 1.0, R = 0.1; Table 3's decay of gamma 0.01.
DEFAULTS = [
    (decay.FullDecay, {"weight": 0.01}),
    (decay.NoBiasDecay, {"kernel": 0.01}),
    (decay.BiasDecay, {"kernel": 0.01, "bias": 1.0}),
    (decay.GammaDecay, {"kernel": 0.01, "bias": 0.0, "gamma": 0.01}),
    (decay.BetaDecay, {"kernel": 0.01, "bias": 0.01, "gamma": 0.0, "beta": 1.0}),
    (
        decay.AdaptiveBetaDecay,
        {"kernel": 0.01, "bias": 0.01, "gamma": 0.0, "beta": 1.0, "threshold": 0.1},
    ),
]


@pytest.mark.parametrize("kind, numbers", DEFAULTS)
@pytest.mark.quick_rows(6)
def test_defaults_are_the_papers(kind, numbers):
    config = kind().get_config()
    assert {name: config[name] for name in numbers} == numbers


def role(name, partner=0):
    return VariableRole(0, name, f"layer/{name}", (3,), name, "layer", partner)


def row(policy):
    return [policy.coefficient(role(r)) for r in ("kernel", "bias", "gamma", "beta", "other")]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (decay.NoDecay(), [0, 0, 0, 0, 0]),
        (decay.FullDecay(0.01), [0.01] * 5),
        (decay.NoBiasDecay(), [0.01, 0, 0, 0, 0.01]),
        (decay.GammaDecay(), [0.01, 0, 0.01, 0, 0.01]),
        (decay.BetaDecay(), [0.01, 0.01, 0, 1.0, 0.01]),
        (decay.BetaDecay(bias=0.0), [0.01, 0, 0, 1.0, 0.01]),
        (decay.AdaptiveBetaDecay(), [0.01, 0.01, 0, 1.0, 0.01]),
        (decay.BiasDecay(0.1), [0.01, 0.1, 0, 0.1, 0.01]),
    ],
    ids=repr,
)
def test_the_table_of_method(policy, expected):
    assert row(policy) == expected


def test_beta_without_gamma_decays_adaptively_only_on_request():
    alone = role("beta", partner=None)
    assert decay.AdaptiveBetaDecay().coefficient(alone) == 0
    assert decay.AdaptiveBetaDecay(unpaired=0.5).coefficient(alone) == 0.5
    assert decay.BetaDecay().coefficient(alone) == 1.0


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.1, [False, True, True, True]), (0.0, [True] * 4), (math.inf, [False] * 4)],
)
def test_decision(threshold, expected):
    ratio = ops.convert_to_tensor(np.array([0.0, 0.1, 5.0, np.inf], "float32"))
    on = decay.AdaptiveBetaDecay(threshold=threshold).decide(ratio)
    assert list(ops.convert_to_numpy(on)) == expected


@pytest.mark.parametrize("policy", ALL, ids=repr)
def test_round_trip(policy):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(policy))
    assert again == policy
    assert row(again) == row(policy)
    assert again.source == policy.source


def test_by_name():
    assert decay.get("adaptive", threshold=0.2) == decay.AdaptiveBetaDecay(threshold=0.2)
    with pytest.raises(BadInput, match="did you mean 'adaptive'"):
        decay.get("adaptve")
    with pytest.raises(BadInput, match="threshold"):
        decay.get("beta", threshold=0.2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: decay.FullDecay(-0.1),
        lambda: decay.NoBiasDecay(float("nan")),
        lambda: decay.BetaDecay(beta="1"),
        lambda: decay.AdaptiveBetaDecay(threshold=float("nan")),
        lambda: decay.AdaptiveBetaDecay(threshold=-1),
        lambda: decay.AdaptiveBetaDecay(threshold=True),
        lambda: decay.AdaptiveBetaDecay(source="batch"),
        lambda: decay.FullDecay(math.inf),
    ],
)
def test_bad_arguments(make):
    with pytest.raises(BadInput):
        make()
