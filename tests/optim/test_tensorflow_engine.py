"""TensorFlow's engine: what is compiled, that it equals the plain way, and replicas."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from keras import tree

import tf_bdecay
from tests.optim import problem
from tests.processes import ended
from tf_bdecay import decay
from tf_bdecay.optim import step
from tf_bdecay.optim.whole_tensors import WholeTensors


def deep_thetas(layers):
    rng = np.random.default_rng(0)
    thetas = {}
    for n in range(layers):
        thetas[f"dense{n}/kernel"] = rng.normal(size=(80, 64))
        thetas[f"norm{n}/gamma"] = np.ones(64)
        thetas[f"norm{n}/beta"] = rng.normal(size=64)
    return thetas


@pytest.mark.parametrize("layers", [2, 12])
def test_what_is_compiled_does_not_grow_with_depth(layers):
    thetas = deep_thetas(layers)
    variables = problem.make_variables(thetas)
    optimizer = tf_bdecay.Lamb(0.01)
    problem.apply(optimizer, variables, {k: 0.1 * v for k, v in thetas.items()})
    names = sorted(name for name, _ in optimizer.engine.compiled)
    assert names == ["judge", "move", "move", "norms", "norms", "scalars"]
    for function in optimizer.engine.compiled.values():
        assert function.experimental_get_tracing_count() == 1


def test_variables_of_one_shape_and_other_rates_are_compiled_apart():
    thetas = deep_thetas(2)
    gradients = {k: 0.1 * np.ones_like(v) for k, v in thetas.items()}
    variables, others = (problem.make_variables(thetas) for _ in "ab")
    options = {"weight_decay": decay.NoDecay(), "compile_update": False}
    rated = tf_bdecay.Lars(1.0, rate_multipliers={"dense1/kernel": 0.5}, **options)
    problem.apply(rated, variables, gradients)
    problem.apply(tf_bdecay.Lars(0.5, **options), others, gradients)
    assert sum(name == "move" for name, _ in rated.engine.compiled) == 3  # with the pack's
    equal = [np.array_equal(a.numpy(), b.numpy()) for a, b in zip(variables, others, strict=True)]
    assert equal == [name == "dense1/kernel" for name in thetas]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"global_clipnorm": 0.5, "use_ema": True, "ema_momentum": 0.8},
        {"use_ema": True, "ema_overwrite_frequency": 2},
        {"layer_adaptation": "all", "epsilon": 0.0, "loss_scale_factor": 4.0},
        {"weight_decay": decay.BetaDecay()},
    ],
)
@pytest.mark.parametrize("compile_update", [True, False])
@pytest.mark.quick_rows(3)
def test_equals_the_engine_of_whole_tensors(options, compile_update):
    optimizer = tf_bdecay.Lamb(0.01, compile_update=compile_update, **options)
    variables = problem.make_variables(problem.initial())
    optimizer.build(variables)
    present = tuple(range(len(variables)))
    gradients = problem.gradients(4)
    gradients[2]["wide/kernel"][3, 5] = np.inf  # this one is skipped
    expected = tree.map_structure(lambda v: v.value.value(), optimizer.state())
    for gradient in gradients:
        tensors = [tf.constant(g, "float32") for g in gradient.values()]
        engine = WholeTensors(optimizer, expected, present)
        step.update(engine, tensors, tf.constant(0.01))
        expected = engine.state
        problem.apply(optimizer, variables, gradient)
    assert optimizer.totals()["skipped_updates"] == 1
    found = tree.map_structure(lambda v: v.value.value(), optimizer.state())
    for a, b in zip(tree.flatten(found), tree.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7)


def test_a_frozen_large_variable_keeps_its_moments():
    optimizer = tf_bdecay.Lamb(0.01)
    variables = problem.make_variables(problem.initial())
    first, second = problem.gradients(2)
    problem.apply(optimizer, variables, first)
    kept = [np.array(v.numpy()) for v in (variables[4], *optimizer.state()["slots"][0])]
    tensors = [tf.constant(g, "float32") for g in second.values()]
    tensors[4] = None
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply(tensors, variables)
    for variable, old in zip((variables[4], *optimizer.state()["slots"][0]), kept, strict=True):
        assert variable.shape == (40, 130)
        np.testing.assert_array_equal(variable.numpy(), old)
    assert optimizer.decision().trust_ratio[4] == 1


# Two replicas are one device with the same global batch, and their copies stay bitwise equal.

SCRIPT = pathlib.Path(__file__).with_name("mirrored_script.py")


def run(**arguments):
    defaults = {
        "poison": False,
        "wrapped": None,
        "clip": 0,
        "compile_update": True,
        "outside": False,
    }
    command = [str(SCRIPT), json.dumps({**defaults, **arguments})]
    done = ended(command)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "arguments",
    [
        {"clip": 0.05},
        pytest.param({"compile_update": False}, marks=pytest.mark.slow),
        pytest.param({"wrapped": "keras"}, marks=pytest.mark.slow),
        pytest.param({"wrapped": "ours"}, marks=pytest.mark.slow),
    ],
    ids=["compiled and clipped", "plain", "in Keras' LossScaleOptimizer", "in ours"],
)
def test_two_replicas_equal_one_device(arguments):
    result = run(**arguments)
    assert result["change"] < 1e-4
    assert result["decisions_equal"]
    assert result["seen"] == ["False", "True"]  # decay switched: deciding was put to the test
    assert result["margin"] > 1e-3
    assert result["losses"] < 1e-5
    assert result["apart"] == 0


@pytest.mark.parametrize(
    "wrapped",
    [
        pytest.param(None, marks=pytest.mark.slow),
        "ours",
        pytest.param("keras", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_a_nan_on_one_replica_is_skipped_by_both(wrapped):
    result = run(poison=True, wrapped=wrapped)
    assert result["finite"]
    assert result["apart"] == 0
    assert result["skipped"][1] == 3
    if wrapped != "keras":  # which skips and counts by replica 0's gradients alone
        assert result["skipped"][0] == 3
        assert result["change"] < 1e-4


def test_an_optimizer_built_out_of_scope_is_refused():
    assert "outside the scope of the strategy" in run(outside=True)["error"]
