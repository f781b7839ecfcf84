"""Rescaling a unit by eq. 9 changes weights but not the function and its sharpness."""

import functools

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keras import layers, ops

import tf_bdecay
from tests.sharpness.rescaling.rescale_networks import (
    CLASSES,
    NETWORKS,
    between,
    inputs_of,
    network,
    outputs_of,
    randomized,
)
from tf_bdecay.sharpness.rescaling.rescale import reparameterize, rescalable_units

pytestmark = pytest.mark.usefixtures("double_inputs")


def crossentropy(y, logits):
    return keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)


def assert_scaled(model, before, done):
    """Exactly the parts that are reported have changed, by the factor."""
    wanted = {v.path: np.array(w) for v, w in zip(model.weights, before, strict=True)}
    for parts, factor in ((done.incoming, done.c), (done.outgoing, 1 / done.c)):
        assert parts
        for part in parts:
            np.moveaxis(wanted[part.path], part.axis, 0)[list(part.indices)] *= factor
    for variable, old in zip(model.weights, before, strict=True):
        value = ops.convert_to_numpy(variable)
        np.testing.assert_allclose(
            value, wanted[variable.path], rtol=1e-6 if value.dtype == "float32" else 1e-12
        )
        touched = variable.path in {part.path for part in (*done.incoming, *done.outgoing)}
        assert (value != old).any() == touched


def check_every_unit(model, c):
    """Each unit of each layer in turn, the weights put back between."""
    start, outputs = model.get_weights(), outputs_of(model)
    for name, units in rescalable_units(model):
        for unit in range(units):
            done = reparameterize(model, name, unit, c)
            assert (done.layer, done.unit, done.c) == (name, unit, c)
            assert_scaled(model, start, done)
            np.testing.assert_allclose(outputs_of(model), outputs, rtol=1e-9, atol=1e-11)
            model.set_weights(start)


@pytest.mark.parametrize("build, expected", NETWORKS.values(), ids=NETWORKS.keys())
@pytest.mark.quick_rows(10)
def test_the_function_stays_on_every_way_to_a_kernel(build, expected):
    model = randomized(build())
    names = [name for name, _ in rescalable_units(model)]
    assert sorted(names) == sorted(expected)
    check_every_unit(model, 37.0)


def test_resnet18_has_its_inner_normalizations():
    model = randomized(tf_bdecay.models.resnet18(CLASSES, 2, (8, 8, 1), ghost_batch_size=2))
    found = rescalable_units(model)
    assert found == [
        (f"stage{stage}_block{block}_bn1", 2**stage) for stage in (1, 2, 3, 4) for block in (1, 2)
    ]
    start, outputs = model.get_weights(), outputs_of(model)
    for i, (name, units) in enumerate(found):
        done = reparameterize(model, model.get_layer(name), i % units, 1e3)
        assert [part.path for part in done.incoming] == [f"{name}/gamma", f"{name}/beta"]
        assert [part.path for part in done.outgoing] == [f"{name[:-3]}conv2/kernel"]
    np.testing.assert_allclose(outputs_of(model), outputs, rtol=1e-9)
    assert any((a != b).any() for a, b in zip(start, model.get_weights(), strict=True))


def test_vgg11_has_every_convolution():
    model = randomized(tf_bdecay.models.vgg11(CLASSES, 2, (8, 8, 1)))
    assert [units for _, units in rescalable_units(model)] == [2, 4, 8, 8, 16, 16, 16, 16]
    outputs = outputs_of(model)
    for name, units in rescalable_units(model):
        reparameterize(model, name, units - 1, 0.01)
    np.testing.assert_allclose(outputs_of(model), outputs, rtol=1e-9)


@pytest.mark.any_backend
def test_any_backend_and_single_precision():
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    model = randomized(between(layers.BatchNormalization(name="n"), layers.Flatten()))
    before, outputs = model.get_weights(), outputs_of(model)
    assert_scaled(model, before, reparameterize(model, "n", np.int64(1), np.float32(4)))
    np.testing.assert_allclose(outputs_of(model), outputs, rtol=1e-4, atol=1e-5)


# Random networks.


ACTIVATIONS = st.sampled_from([None, "relu", "leaky_relu"])
NORMS = st.sampled_from(["batch", "ghost", "group", "layer"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("conv"), st.integers(1, 4), st.integers(1, 3), ACTIVATIONS),
        st.tuples(st.just("norm"), st.integers(1, 4), NORMS),
        st.tuples(st.just("residual"), NORMS),
        st.tuples(st.sampled_from(["max", "average", "dropout"])),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=12)
@given(STEPS, st.booleans(), st.data())
def test_the_function_of_random_networks_stays(steps, flat, data):
    model = network(steps, flat)
    outputs = outputs_of(model)
    found = rescalable_units(model)
    assert ("hidden", 5) in found
    for _ in range(4):  # one upon the other
        name, units = data.draw(st.sampled_from(found))
        unit, c = data.draw(st.integers(0, units - 1)), 10 ** data.draw(st.floats(-3, 3))
        assume(abs(c - 1) > 1e-9)
        before = model.get_weights()
        assert_scaled(model, before, reparameterize(model, name, unit, c))
    np.testing.assert_allclose(outputs_of(model), outputs, rtol=1e-9, atol=1e-11)


@functools.cache
def measured(kind):
    """A network, its data and its sharpness; one trace serves all examples of a test."""
    steps = {
        "plain": [("conv", 3, 3, "relu"), ("max",), ("conv", 4, 2, "leaky_relu")],
        "batch": [("norm", 3, "batch"), ("residual", "batch")],
        "ghost": [("norm", 3, "ghost"), ("residual", "ghost")],
    }[kind]
    model = network(steps, flat=kind == "plain")
    data = inputs_of(model, 5), np.arange(5) % CLASSES
    return model, data, sharpness(model, data)


def sharpness(model, data):
    from tf_bdecay.sharpness import connectivity

    return connectivity(model, crossentropy, data)


@settings(max_examples=15)
@given(st.data(), st.floats(-3, 3))
@pytest.mark.parametrize("kind", ["plain", "batch", "ghost"])
@pytest.mark.quick_rows(1)
def test_theorem_3_1_sharpness_stays(kind, data, exponent):
    model, examples, before = measured(kind)
    start = model.get_weights()
    name, units = data.draw(st.sampled_from(rescalable_units(model)))
    reparameterize(model, name, data.draw(st.integers(0, units - 1)), 10**exponent)
    after = sharpness(model, examples)
    model.set_weights(start)
    assert after.total == pytest.approx(before.total, rel=1e-8)
    np.testing.assert_allclose(
        list(after.by_variable.values()), list(before.by_variable.values()), rtol=1e-8
    )
