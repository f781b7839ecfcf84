"""LAMB equals the NumPy oracle and optax.lamb, and has the identities of docs/method.md."""

import functools
import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tf_bdecay
from tests.optim import problem
from tests.optim.oracle import Oracle
from tf_bdecay import decay
from tools.parity import lamb_cases, lamb_here

pytestmark = pytest.mark.any_backend

# The policies, and their table in docs/method.md: lambda of kernel, bias, gamma, beta; R.
POLICIES = {
    "none": (decay.NoDecay(), (0, 0, 0, 0), None),
    "full": (decay.FullDecay(0.02), (0.02, 0.02, 0.02, 0.02), None),
    "no_bias": (decay.NoBiasDecay(0.01), (0.01, 0, 0, 0), None),
    "bias": (decay.BiasDecay(0.1), (0.01, 0.1, 0, 0.1), None),
    "gamma": (decay.GammaDecay(0.05), (0.01, 0, 0.05, 0), None),
    "beta": (decay.BetaDecay(), (0.01, 0.01, 0, 1.0), None),
    "adaptive": (decay.AdaptiveBetaDecay(), (0.01, 0.01, 0, 1.0), 0.1),
    "adaptive_own": (
        decay.AdaptiveBetaDecay(kernel=0.3, bias=0.2, gamma=0.1, beta=2.0, threshold=0.5),
        (0.3, 0.2, 0.1, 2.0),
        0.5,
    ),
}
STEPS = 8


def adapted_names(layer_adaptation, coefficients):
    if layer_adaptation == "all":
        return set(problem.SHAPES)
    if layer_adaptation == "decayed":
        return {k for k in problem.SHAPES if coefficients[k.rsplit("/")[-1]] > 0}
    return {k for k in problem.SHAPES if k.endswith("kernel")}


def compare(
    policy_name, layer_adaptation, dtype, tolerance, steps=STEPS, oracle_options=(), **options
):
    """Runs both from the same start; compares the change of theta and every decision."""
    keras.config.set_floatx(dtype)  # conftest sets it back
    policy, numbers, threshold = POLICIES[policy_name]
    coefficients = dict(zip(("kernel", "bias", "gamma", "beta"), numbers, strict=True))
    thetas = problem.initial()
    oracle = Oracle(thetas, coefficients, threshold, adapted_names(layer_adaptation, coefficients))
    variables = problem.make_variables(thetas, dtype)
    optimizer = tf_bdecay.Lamb(0.01, policy, layer_adaptation, compile_update=False, **options)
    seen = set()
    for gradient in problem.gradients(steps):
        before = problem.values(variables)
        oracle.theta = dict(zip(thetas, before, strict=True))  # compare one update's change
        oracle_before = list(oracle.theta.values())
        problem.apply(optimizer, variables, gradient)
        oracle.lamb(gradient, 0.01, **dict(oracle_options))
        change = [b - a for a, b in zip(before, problem.values(variables), strict=True)]
        expected = [b - a for a, b in zip(oracle_before, oracle.theta.values(), strict=True)]
        assert problem.relative_error(change, expected) < tolerance
        if threshold is not None:
            decision = optimizer.decision()
            assert list(decision.layers) == list(problem.PAIRS)
            ratios = [oracle.ratios[layer] for layer in decision.layers]
            np.testing.assert_allclose(decision.bias_ratio, ratios, rtol=1e-5)
            assert all(abs(r / threshold - 1) > 1e-3 for r in ratios)
            assert list(decision.decay_on) == [oracle.on[layer] for layer in decision.layers]
            seen.update(oracle.on.items())
    if threshold is not None:  # both layers were on and off: the comparison is worth something
        assert len(seen) == 2 * len(problem.PAIRS)


ADAPTATIONS = ("kernels", "all", "decayed")


def _every_policy_and_every_adaptation():
    """All pairs; those that are not slow have each policy and each adaptation."""
    rows = []
    for i, policy in enumerate(POLICIES):
        for j, adaptation in enumerate(ADAPTATIONS):
            quick = i % len(ADAPTATIONS) == j or (policy, adaptation) == ("adaptive", "kernels")
            marks = () if quick else pytest.mark.slow
            rows.append(pytest.param(policy, adaptation, marks=marks))
    return rows


@pytest.mark.parametrize("policy, layer_adaptation", _every_policy_and_every_adaptation())
@pytest.mark.quick_rows(3)
def test_equals_the_oracle(policy, layer_adaptation):
    if keras.backend.backend() == "tensorflow":  # JAX has no float64 unless told before it starts
        compare(policy, layer_adaptation, "float64", 1e-10)
    compare(policy, layer_adaptation, "float32", 1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"bias_correction": False},
        {"global_clipnorm": 0.5},
        {"trust_clip": 0.7},
        {"decay_in_ratio": False},
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
    ],
    ids=str,
)
@pytest.mark.quick_rows(2)
def test_equals_the_oracle_with_options(options):
    names = {
        "bias_correction": "correct",
        "global_clipnorm": "clip",
        "trust_clip": "trust_clip",
        "decay_in_ratio": "inside",
        "beta_1": "b1",
        "beta_2": "b2",
        "epsilon": "epsilon",
    }
    theirs = {names[k]: v for k, v in options.items()}
    compare("adaptive", "all", "float32", 1e-5, oracle_options=theirs, **options)


def test_decay_outside_of_the_ratio_is_keras_lamb():
    """Keras' own is the oracle: weights after 20 updates, decay of 0.5 on all but beta."""
    theirs = keras.optimizers.Lamb(0.05, weight_decay=0.5, epsilon=1e-7)
    theirs.exclude_from_weight_decay(var_names=["beta"])
    policy = decay.BetaDecay(kernel=0.5, bias=0.5, gamma=0.5, beta=0.0)
    options = {"epsilon": 1e-7, "compile_update": False}
    ours = tf_bdecay.Lamb(0.05, policy, "all", decay_in_ratio=False, **options)
    inside = tf_bdecay.Lamb(0.05, policy, "all", **options)
    ends = []
    for optimizer in (theirs, ours, inside):
        variables = problem.make_variables(problem.initial())
        for gradient in problem.gradients(20):
            problem.apply(optimizer, variables, gradient)
        ends.append(problem.values(variables))
    assert problem.relative_error(ends[1], ends[0]) < 1e-5
    assert problem.relative_error(ends[2], ends[0]) > 1e-2


@functools.cache
def made(policy, options, names):
    """One optimizer for each setting: tracing it is what takes time here."""
    variables = problem.make_variables({k: np.zeros(problem.SHAPES[k]) for k in names})
    optimizer = tf_bdecay.Lamb(0.01, policy, compile_update=False, **dict(options))
    optimizer.build(variables)
    return optimizer, variables, [np.array(v.numpy()) for v in optimizer.variables]


def run(policy, thetas=None, gradients=None, **options):
    """Weights after some updates from a fresh state, and the optimizer."""
    thetas = thetas or problem.initial()
    optimizer, variables, fresh = made(policy, tuple(options.items()), tuple(thetas))
    for variable, value in zip(optimizer.variables, fresh, strict=True):
        variable.assign(value)
    for variable, value in zip(variables, thetas.values(), strict=True):
        variable.assign(value)
    for gradient in gradients or problem.gradients(6):
        problem.apply(optimizer, variables, gradient)
    return problem.values(variables), optimizer


@pytest.mark.parametrize("layer_adaptation", ["decayed"])  # the others: test_properties.py
def test_threshold_0_is_fixed_beta_decay_bit_for_bit(layer_adaptation):
    adaptive, _ = run(decay.AdaptiveBetaDecay(threshold=0.0), layer_adaptation=layer_adaptation)
    fixed, _ = run(decay.BetaDecay(), layer_adaptation=layer_adaptation)
    for a, b in zip(adaptive, fixed, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layer_adaptation", ["decayed"])
def test_threshold_infinite_is_no_beta_decay_bit_for_bit(layer_adaptation):
    never, _ = run(decay.AdaptiveBetaDecay(threshold=math.inf), layer_adaptation=layer_adaptation)
    zero, _ = run(decay.BetaDecay(beta=0.0), layer_adaptation=layer_adaptation)
    for a, b in zip(never, zero, strict=True):
        np.testing.assert_array_equal(a, b)


def test_infinite_threshold_holds_against_an_infinite_ratio():
    thetas = {**problem.initial(), "norm/gamma": np.zeros(4)}
    gradients = problem.gradients(1)
    _, optimizer = run(
        decay.AdaptiveBetaDecay(threshold=math.inf),
        thetas=thetas,
        gradients=gradients,
    )
    assert optimizer.decision().bias_ratio[0] == np.inf
    assert not optimizer.decision().decay_on.any()
    _, optimizer = run(
        decay.AdaptiveBetaDecay(threshold=1e9),
        thetas=thetas,
        gradients=gradients,
    )
    assert optimizer.decision().decay_on[0]


def test_beta_at_0_has_ratio_0_whatever_gamma_is():
    thetas = {**problem.initial(), "norm/beta": np.zeros(4), "norm/gamma": np.zeros(4)}
    _, optimizer = run("default", thetas=thetas, gradients=problem.gradients(1))
    assert optimizer.decision().bias_ratio[0] == 0
    assert not optimizer.decision().decay_on[0]


def test_sensitivity_is_that_of_every_variable():
    thetas, gradient = problem.initial(), problem.gradients(1)[0]
    _, optimizer = run("default", gradients=[gradient])
    expected = [np.abs(thetas[k] * gradient[k]).sum() for k in thetas]
    np.testing.assert_allclose(optimizer.decision().sensitivity, expected, rtol=1e-5)
    assert list(optimizer.decision().labels) == list(thetas)


def test_trust_ratios_are_reported():
    thetas, gradient = problem.initial(), problem.gradients(1)[0]
    _, optimizer = run(decay.NoDecay(), gradients=[gradient], layer_adaptation="kernels")
    ratio = dict(zip(thetas, optimizer.decision().trust_ratio, strict=True))
    # The first direction is the sign of the gradient: its norm is the root of its size.
    kernel = thetas["wide/kernel"]
    assert ratio["wide/kernel"] == pytest.approx(
        np.linalg.norm(kernel) / math.sqrt(kernel.size), rel=1e-4
    )
    assert ratio["norm/beta"] == ratio["head/bias"] == 1.0


def test_ratio_is_1_where_the_parameter_is_0():
    thetas = {k: np.zeros(s) for k, s in problem.SHAPES.items()}
    after, _ = run(
        decay.NoDecay(),
        thetas=thetas,
        gradients=[{k: np.ones(s) for k, s in problem.SHAPES.items()}],
        layer_adaptation="all",
    )
    for value in after:  # Adam's first step: the rate in every element
        np.testing.assert_allclose(value, -0.01, rtol=1e-5)


def test_zero_gradients_move_nothing_but_by_decay():
    zero = [{k: np.zeros(s) for k, s in problem.SHAPES.items()}] * 3
    after, _ = run(decay.NoDecay(), gradients=zero)
    for value, start in zip(after, problem.initial().values(), strict=True):
        np.testing.assert_array_equal(value, start.astype("float32"))
    after, _ = run(decay.FullDecay(0.5), gradients=zero[:1], layer_adaptation="kernels")
    by_name = dict(zip(problem.SHAPES, after, strict=True))
    np.testing.assert_allclose(by_name["norm/gamma"], 1 - 0.01 * 0.5, rtol=1e-6)


@settings(max_examples=15)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
def test_scale_of_the_loss_matters_to_nothing_at_epsilon_0(scale, seed):
    policy = decay.AdaptiveBetaDecay()
    one, a = run(policy, gradients=problem.gradients(3, seed), epsilon=0.0)
    other, b = run(policy, gradients=problem.gradients(3, seed, scale), epsilon=0.0)
    np.testing.assert_allclose(a.decision().bias_ratio, b.decision().bias_ratio, rtol=1e-4)
    for x, y in zip(one, other, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


@settings(max_examples=15)
@given(
    gradient=st.floats(-15, 15).map(lambda e: 10.0**e),
    theta=st.floats(-15, 15).map(lambda e: 10.0**e),
    layer_adaptation=st.sampled_from(["kernels", "all", "decayed"]),
)
def test_finite_in_finite_out(gradient, theta, layer_adaptation):
    after, optimizer = run(
        "default",
        thetas=problem.initial(scale=theta),
        gradients=problem.gradients(2, scale=gradient),
        layer_adaptation=layer_adaptation,
    )
    assert all(np.isfinite(value).all() for value in after)
    assert optimizer.totals()["skipped_updates"] == 0


@pytest.mark.parametrize(  # no layer where it was, and in the second the norms changed over
    "order",
    [
        ("norm", "head", "wide_norm", "conv", "wide"),
        ("wide_norm", "conv", "norm", "head", "wide"),
    ],
    ids="-".join,
)
def test_order_of_layers_does_not_matter(order):
    thetas, gradients = problem.initial(), problem.gradients(4)
    names = sorted(thetas, key=lambda k: order.index(k.split("/")[0]))
    permuted = [{k: g[k] for k in names} for g in gradients]
    after, _ = run(
        "default",
        thetas={k: thetas[k] for k in names},
        gradients=permuted,
    )
    expected, _ = run("default", gradients=gradients)
    expected = dict(zip(thetas, expected, strict=True))
    for name, value in zip(names, after, strict=True):
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-7)


@settings(max_examples=10)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
def test_scale_of_the_loss_never_matters_to_the_ratio(scale, seed):
    _, a = run("default", gradients=problem.gradients(1, seed))
    _, b = run("default", gradients=problem.gradients(1, seed, scale))
    np.testing.assert_allclose(a.decision().bias_ratio, b.decision().bias_ratio, rtol=1e-5)


def test_embeddings_and_other_variables_decay_and_adapt_as_kernels():
    thetas = {name: np.full((3, 2), 0.5) for name in ("a/kernel", "b/embeddings", "c/token")}
    variables = problem.make_variables(thetas)
    optimizer = tf_bdecay.Lamb(0.1, decay.NoBiasDecay(0.3), compile_update=False)
    problem.apply(optimizer, variables, {k: np.ones((3, 2)) for k in thetas})
    one, *others = problem.values(variables)
    assert optimizer.decision().trust_ratio[0] != 1
    for other in others:
        np.testing.assert_array_equal(other, one)


@pytest.mark.parametrize("unpaired", [0.0, 0.5])
def test_a_beta_without_gamma_decays_as_asked_and_is_said(unpaired):
    thetas = {**problem.initial(), "lone/beta": np.ones(3)}
    variables = problem.make_variables(thetas)
    optimizer = tf_bdecay.Lamb(
        0.1, decay.AdaptiveBetaDecay(unpaired=unpaired), compile_update=False
    )
    with pytest.warns(UserWarning, match="lone/beta"):
        optimizer.build(variables)
    problem.apply(optimizer, variables, {k: np.zeros_like(v) for k, v in thetas.items()})
    np.testing.assert_allclose(problem.values(variables)[-1], 1 - 0.1 * unpaired, rtol=1e-6)


def test_a_gamma_frozen_since_leaves_its_beta_undecided():
    thetas = problem.initial()
    variables = problem.make_variables(thetas)
    optimizer = tf_bdecay.Lamb(0.01, compile_update=False)
    optimizer.build(variables)
    kept = [k for k in thetas if k != "norm/gamma"]
    gradient = problem.gradients(1)[0]
    optimizer.apply(
        [keras.ops.convert_to_tensor(gradient[k].astype("float32")) for k in kept],
        [v for k, v in zip(thetas, variables, strict=True) if k in kept],
    )
    assert optimizer.decision().bias_ratio[0] == 0
    assert not optimizer.decision().decay_on[0]
    assert optimizer.decision().bias_ratio[1] > 0


# Against optax.lamb, where both mean the same by it.

OPTAX_CASES = [case for case in lamb_cases.CASES if not lamb_cases.excluded(case)[1]]


@functools.cache
def our_changes(case, dtype):
    return lamb_here.our_changes(case, dtype, problem.apply, compile_update=False)


@pytest.mark.parametrize("case", OPTAX_CASES)
@pytest.mark.quick_rows(2)
def test_change_of_theta_equals_optax(case):
    pytest.importorskip("optax")
    ours = our_changes(case, "float32")
    theirs = lamb_here.optax_changes(case, "float32")
    # optax takes 1 - 0.999^t naively, which alone is off by 1e-5 in float32.
    assert lamb_cases.largest_difference(ours, theirs) < 5e-5


@pytest.mark.parametrize("case", OPTAX_CASES)
@pytest.mark.quick_rows(2)
def test_change_of_theta_equals_optax_in_double_precision(case):
    if keras.backend.backend() == "jax":
        pytest.skip("JAX computes in float64 only if its whole process does")
    pytest.importorskip("optax")
    ours = our_changes(case, "float64")
    theirs = lamb_here.optax_changes(case, "float64")
    assert lamb_cases.largest_difference(ours, theirs) < 1e-10


@pytest.mark.slow_elsewhere
def test_the_comparison_tells_decay_inside_from_decay_outside():
    """At weight 0.01 a wrong place of the decay shows far above the tolerance."""
    inside = our_changes("full decay 0.01, all adapted", "float32")
    without = our_changes("no decay, all adapted", "float32")
    outside = {
        path: change - lamb_cases.RATE * 0.01 * lamb_cases.UPDATES * theta
        for (path, theta), change in zip(
            lamb_cases.arrays()[0].items(), without.values(), strict=True
        )
    }
    assert np.isfinite(lamb_cases.largest_difference(inside, outside))
    assert lamb_cases.largest_difference(inside, outside) > 1e-4
