"""LAMB's arguments: which are refused, what is counted, and how a config restores them."""

import math

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.optim import problem
from tf_bdecay import decay
from tf_bdecay.errors import BadInput
from tf_bdecay.optim.arguments import multipliers
from tf_bdecay.roles import roles_of

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("coefficient", [-1.0, float("nan"), None])
def test_a_coefficient_of_ones_own_policy_is_checked(coefficient):
    class Own(decay.DecayPolicy):
        def coefficient(self, variable):
            return coefficient

    with pytest.raises(BadInput, match="Own"):
        tf_bdecay.Lamb(weight_decay=Own()).build(problem.make_variables(problem.initial()))


def test_an_error_in_build_does_not_leave_it_half_built():
    variables = problem.make_variables({"a/kernel": np.ones((2, 2))})
    optimizer = tf_bdecay.Lamb(weight_decay=decay.AdaptiveBetaDecay())
    for _ in range(2):
        with pytest.raises(BadInput, match="no layer of this model has both"):
            optimizer.build(variables)


@pytest.mark.parametrize("kind", ["float", "schedule", "callable"])
def test_learning_rate_counts_updates(kind):
    seen = keras.optimizers.schedules.PiecewiseConstantDecay([0, 1], [0.0, 0.25, 0.5])
    rate = {"float": 0.5, "schedule": seen, "callable": lambda: 0.5}[kind]
    variables = problem.make_variables(problem.initial())
    optimizer = tf_bdecay.Lamb(rate, decay.NoDecay(), compile_update=False)
    for gradient in problem.gradients(3):
        problem.apply(optimizer, variables, gradient)
    expected = 0.0 + 0.25 + 0.5 if kind == "schedule" else 1.5
    assert optimizer.totals()["learning_rate_sum"] == pytest.approx(expected)
    assert optimizer.totals()["updates"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weight_decay": 0.01}, "NoBiasDecay"),
        ({"weight_decay": None}, "NoDecay"),
        ({"weight_decay": "adaptive"}, "policy"),
        ({"gradient_accumulation_steps": 4}, "micro-steps"),
        ({"clipnorm": 1.0}, "global_clipnorm"),
        ({"clipvalue": 1.0}, "global_clipnorm"),
        ({"layer_adaptation": "kernel"}, "did you mean 'kernels'"),
        ({"beta_1": 1.0}, "beta_1"),
        ({"beta_2": -0.1}, "beta_2"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"trust_clip": 0.0}, "trust_clip"),
        ({"global_clipnorm": -1.0}, "global_clipnorm"),
        ({"learning_rate": -0.1}, "learning_rate"),
        ({"compile_update": "yes"}, "compile_update"),
        ({"compile_update": np.ones(9999)}, r"`compile_update` of Lamb.*Received: .{0,300}$"),
        ({"use_ema": "yes"}, "`use_ema` of Lamb must be True or False"),
        ({"use_ema": True, "ema_momentum": None}, "`ema_momentum` of Lamb must be a number >= 0"),
        ({"use_ema": True, "ema_momentum": 1.5}, "`ema_momentum` of Lamb must be .* <= 1"),
        ({"loss_scale_factor": "a"}, "`loss_scale_factor` of Lamb must be a number > 0"),
        ({"loss_scale_factor": 0}, "`loss_scale_factor` of Lamb must be a number > 0"),
        ({"roles": "gamma"}, "`roles` of Lamb must be a dict .*Received: roles='gamma'"),
        ({"roles": ["x"]}, "`roles` of Lamb must be a dict .*Received: roles=..x"),
        ({"bias_correction": "no"}, "bias_correction"),
        ({"skip_nonfinite": 1}, "skip_nonfinite"),
        ({"use_emma": True}, "did you mean 'use_ema'"),
        ({"roles": {"nothing/.*": "beta"}}, "matches no trainable variable"),
        ({"roles": {"norm/gamma": "gama"}}, "did you mean 'gamma'"),
        ({"roles": {"norm[": "gamma"}}, "must be a regular expression"),
        ({"rate_multipliers": {"gama": 0.5}}, "matches no .*: did you mean 'gamma'[?] The paths"),
        ({"rate_multipliers": {"other": 0.5}}, "No trainable variable has the role 'other'"),
        ({"rate_multipliers": {"gamma": -0.5}}, r"`rate_multipliers\['gamma'\]` of Lamb must be"),
        ({"rate_multipliers": 0.5}, "`rate_multipliers` of Lamb must be a dict"),
    ],
    ids=str,
)
def test_what_would_be_silently_wrong_is_refused(arguments, words):
    with pytest.raises(BadInput, match=words):
        tf_bdecay.Lamb(**arguments).build(problem.make_variables(problem.initial()))


def test_excluding_variables_the_keras_way_is_refused():
    with pytest.raises(BadInput, match="policy"):
        tf_bdecay.Lamb().exclude_from_weight_decay(var_names=["bias"])


def test_adaptive_decay_without_a_pair():
    variables = problem.make_variables({"a/kernel": np.ones((2, 2)), "a/bias": np.ones(2)})
    with pytest.raises(BadInput, match="no layer of this model has both"):
        tf_bdecay.Lamb(weight_decay=decay.AdaptiveBetaDecay()).build(variables)
    with pytest.warns(UserWarning, match="nothing to decide"):
        tf_bdecay.Lamb().build(variables)


def test_config_round_trip():
    optimizer = tf_bdecay.Lamb(
        tf_bdecay.schedules.PolynomialWarmupDecay(0.04, 100),
        decay.AdaptiveBetaDecay(kernel=0.1, threshold=math.inf, source="probe"),
        layer_adaptation="all",
        beta_1=0.8,
        trust_clip=10.0,
        global_clipnorm=1.0,
        skip_nonfinite=False,
        roles={".*/offset": "beta"},
        rate_multipliers={"gamma": 0.5, "head/.*": 2},
        use_ema=True,
    )
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert again.weight_decay == optimizer.weight_decay
    default = tf_bdecay.Lamb()
    assert tf_bdecay.Lamb.from_config(default.get_config()).get_config() == default.get_config()


def test_rate_multipliers_by_role_and_by_path():
    roles = roles_of(problem.make_variables(problem.initial()))
    found = multipliers({"head/.*": 3.0, "kernel": 0.5, "conv/.*": 2.0, "conv/bias": 0.0}, roles)
    by_name = dict(zip(problem.SHAPES, found, strict=True))
    assert {name: value for name, value in by_name.items() if value != 1} == {
        "conv/kernel": 2.0,  # a pattern goes before a role
        "conv/bias": 0.0,  # and a later before an earlier
        "wide/kernel": 0.5,
        "head/kernel": 3.0,
        "head/bias": 3.0,
    }
    assert (multipliers({}, roles) == 1).all()


@pytest.mark.parametrize(
    "pattern", ["net/branch/.*", "branch/.*", "net/.*/kernel", "(branch|head)/kernel"]
)
@pytest.mark.parametrize("argument", ["weight_decay", "rate_multipliers", "roles"])
@pytest.mark.quick_rows(4)
def test_a_pattern_that_names_a_model_means_the_same_once_it_is_loaded(argument, pattern, tmp_path):
    """Keras leaves the names of sequential models out of the paths of a model that it loads."""
    branch = keras.Sequential([keras.layers.Dense(4, name="kernel_of")], name="branch")
    head = keras.layers.Dense(2, name="head")
    model = keras.Sequential([keras.Input((4,)), branch, head], name="net")
    fixed = decay.NoBiasDecay(0.1)
    given = {
        "weight_decay": {"weight_decay": decay.WithPaths(fixed, {pattern: 0.5})},
        "rate_multipliers": {"weight_decay": fixed, "rate_multipliers": {pattern: 0.5}},
        "roles": {"weight_decay": fixed, "roles": {pattern: "gamma"}},
    }[argument]
    model.compile(tf_bdecay.Lamb(**given), "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    def rows(model):
        described = tf_bdecay.describe(model).rows
        return [(row.role, row.decay, row.rate, row.adapted) for row in described]

    assert rows(loaded) == rows(model)
    assert len(set(rows(model))) > 1  # else the pattern would do nothing
    assert model.trainable_variables[0].path != loaded.trainable_variables[0].path
