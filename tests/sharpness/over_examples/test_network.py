"""All measures change nothing, trace once, and say what they cannot measure."""

import gc
import json
import logging
import pathlib
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tf_bdecay
from tests.processes import ended
from tests.sharpness.networks import (
    CLASSES,
    bytes_of,
    convolutional,
    crossentropy,
    examples_for,
    ghost,
    transformer,
)
from tests.sharpness.over_examples import replicas_script
from tf_bdecay import sharpness
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import connectivity
from tf_bdecay.sharpness.over_examples import network
from tf_bdecay.sharpness.session import Session

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
MEASURES = {
    "C": sharpness.connectivity,
    "C_m": lambda *a, **k: sharpness.connectivity(*a, per_example=False, batch_size=4, **k),
    "trace": lambda *a, **k: sharpness.hessian_trace(*a, num_probes=2, **k),
    "eigenvalue": lambda *a, **k: sharpness.hessian_top_eigenvalue(*a, tolerance=0.1, **k),
    "spectrum": lambda *a, **k: sharpness.hessian_spectrum(*a, steps=3, **k),
    "fisher_rao": lambda *a, **k: sharpness.fisher_rao(*a, **k),
    "tangent": lambda *a, **k: sharpness.connectivity_tangent_trace(*a, num_probes=2, **k),
    "sam": lambda *a, **k: sharpness.perturbation(*a, steps=2, **k),
}


@pytest.mark.parametrize(
    "make, training",
    [
        (lambda: convolutional(regularizer="l2"), False),
        (transformer, True),
        (ghost, True),
    ],
    ids=["batch normalization", "dropout", "ghost"],
)
@pytest.mark.quick_rows(1)
def test_measuring_changes_no_byte(make, training):
    model = make()
    model.compile(tf_bdecay.Lamb(0.01), LOSS, run_eagerly=True)  # nothing to trace: 5 s less
    data = examples_for(model)
    model.fit(*data, batch_size=11, verbose=0)
    before = bytes_of(model, model.optimizer)
    losses = [float(loss) for loss in model.losses]
    for name, measure in MEASURES.items():
        if training and (name == "C_m" or (name in ("C", "tangent") and make is ghost)):
            continue  # of C_m see test_connectivity_sharpness.py; C does not exist there
        measure(model, None, data, training=training)
        assert bytes_of(model, model.optimizer) == before, name
    assert [float(loss) for loss in model.losses] == losses


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.quick_rows(3)
def test_chunks_change_only_rounding(double, name):
    model = convolutional()
    data = examples_for(model)
    whole, cut = (MEASURES[name](model, LOSS, data, examples_at_once=n) for n in (11, 4))
    assert cut.loss == pytest.approx(whole.loss, rel=1e-12)
    frames = whole.to_pandas(), cut.to_pandas()
    scale = np.abs(frames[0]["value"]).max()
    for column in ("value", "standard_error"):
        a, b = (f[column].to_numpy() for f in frames)
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9 * scale)


@pytest.mark.parametrize("name", ["C", "C_m", "trace", "fisher_rao", "tangent", "sam"])
@pytest.mark.parametrize(
    "where, sentence",
    [
        ("model", "The variable '.*fc/kernel' holds NaN or infinity"),
        ("data", "Example 2 of the data holds NaN or infinity"),
        ("loss", "loss is NaN or infinite on these examples"),
    ],
)
@pytest.mark.quick_rows(8)
def test_what_is_not_finite_is_named(name, where, sentence):
    model = convolutional()
    x, y = examples_for(model)
    if where == "data":
        x[2, 0, 0, 0] = np.nan
    elif where == "model":
        kernel = model.get_layer("fc").kernel
        kernel.assign(np.full(kernel.shape, np.inf))
    else:  # the logits overflow
        model.get_layer("fc").kernel.assign(model.get_layer("fc").kernel * 1e38)
    with pytest.raises(network.NotFinite, match=sentence):
        MEASURES[name](model, LOSS, (x, y))


def test_mixed_precision_is_measured_in_full_unless_asked():
    def measured(policy, **arguments):
        keras.config.set_dtype_policy(policy)
        model = convolutional()
        found = connectivity(model, crossentropy, examples_for(model), **arguments)
        assert {layer.compute_dtype for layer in model.layers} == {
            keras.DTypePolicy(policy).compute_dtype
        }
        return found.total

    full = measured("float32")
    assert measured("mixed_bfloat16") == pytest.approx(full, rel=1e-5)
    half = measured("mixed_bfloat16", full_precision=False)
    assert 1e-5 < abs(half / full - 1) < 0.1


def test_training_goes_on_as_if_nothing_had_been_measured():
    def final_weights(measured):
        keras.utils.set_random_seed(3)
        stack = layers.Dense(4), layers.LayerNormalization(), layers.Dropout(0.5)
        model = keras.Sequential([keras.Input((3,)), *stack, layers.Dense(CLASSES)])
        model.compile(tf_bdecay.Lamb(0.01), LOSS, run_eagerly=True)
        data = examples_for(model)
        for _ in range(2):
            model.fit(*data, verbose=0)
            if measured:
                connectivity(model, None, data, training=True)
        return bytes_of(model)

    assert final_weights(True) == final_weights(False)


def test_roles_may_be_given():
    model = convolutional()
    data = examples_for(model)
    others = tf_bdecay.roles_of(model, {".*/(gamma|beta)": "other"})
    assert len(connectivity(model, crossentropy, data).bias_ratio) == 1
    assert connectivity(model, crossentropy, data, roles=others).bias_ratio == {}
    in_reverse = tf_bdecay.roles_of(model.trainable_variables[::-1])
    found = connectivity(model, crossentropy, data, roles=in_reverse)
    assert found.bias_ratio == connectivity(model, crossentropy, data).bias_ratio
    with pytest.raises(BadInput, match="`roles` must be of this model's 5 .*Received: roles of 3"):
        connectivity(
            model, crossentropy, data, roles=tf_bdecay.roles_of(model.trainable_variables[:3])
        )


class CountsCalls(layers.Layer):
    """Python runs at tracing only, so that traces can be counted."""

    calls = 0

    def call(self, x):
        self.calls += 1
        return x


def test_equal_shapes_are_traced_once():
    counter = CountsCalls()
    model = keras.Sequential([keras.Input((3,)), counter, layers.Dense(CLASSES)])
    counter.calls = 0
    for seed in range(3):
        data = examples_for(model, seed=seed)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)  # made anew
        connectivity(model, loss, data, examples_at_once=4)
    assert counter.calls == 1
    connectivity(model, loss, data, per_example=False)
    assert counter.calls == 2


def test_a_change_of_what_is_trainable_is_seen():
    model = convolutional()
    data = examples_for(model)
    before = connectivity(model, crossentropy, data)
    kernel = model.get_layer("conv").kernel.path
    model.get_layer("conv").trainable = False
    after = connectivity(model, crossentropy, data)
    assert before.by_variable.keys() - after.by_variable.keys() == {kernel}


def test_traced_functions_do_not_keep_a_model_alive():
    model = convolutional()
    connectivity(model, crossentropy, examples_for(model))
    dead = weakref.ref(model)
    del model
    gc.collect()
    assert dead() is None


def test_functions_of_passing_losses_are_not_kept_for_ever():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(CLASSES)])
    data = examples_for(model)
    passing = []
    for _ in range(network._FUNCTIONS_KEPT + 3):

        def loss(y, logits):
            return crossentropy(y, logits)

        passing.append(weakref.ref(loss))
        connectivity(model, loss, data, per_example=False)
    del loss
    gc.collect()
    assert sum(reference() is not None for reference in passing) <= network._FUNCTIONS_KEPT


@pytest.mark.parametrize("argument", ["per_example", "training"])
@pytest.mark.parametrize("value", ["no", 1, None])
def test_modes_must_be_true_or_false(argument, value):
    model = convolutional()
    with pytest.raises(BadInput, match=f"`{argument}` must be True or False.*={value!r}"):
        connectivity(model, crossentropy, examples_for(model), **{argument: value})


@pytest.mark.parametrize("kind", [list, dict])
def test_roles_must_be_roles(kind):
    model = convolutional()
    roles = kind((v.label, v.role) for v in tf_bdecay.roles_of(model).variables)
    with pytest.raises(BadInput, match=f"`roles` must be a Roles.*Received: {kind.__name__}"):
        connectivity(model, crossentropy, examples_for(model), roles=roles)


class Remembers(Session):
    """Keeps the latest state, and may stop the measure after some steps."""

    def __init__(self, stop=None, states=None):
        self.stop, self.states, self.steps = stop, states or {}, 0

    def keep(self, key, state):
        self.states[key] = state()

    def restore(self, key):
        return self.states.get(key)

    def progress(self, done, total):
        self.steps += 1
        if self.steps == self.stop:
            raise KeyboardInterrupt


def stream_of_unknown_length(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(3).filter(lambda x, y: True)


@pytest.mark.parametrize("name", ["C", "C_m", "C_m of all", "fisher_rao", "sam"])
@pytest.mark.parametrize("stop", [1, 3], ids=["first", "last"])
@pytest.mark.quick_rows(5)
def test_goes_on_from_a_state_as_if_nothing_had_been(double, name, stop):
    """The last of three steps too: of an unknown length, nothing says that it was the last."""
    measures = {**MEASURES, "C_m of all": lambda *a, **k: connectivity(*a, per_example=False, **k)}
    model = convolutional()
    data = stream_of_unknown_length(*examples_for(model))
    stop = 2 if name == "C_m" and stop == 3 else stop
    arguments = {} if name == "sam" else {"examples_at_once": 4}
    whole = measures[name](model, LOSS, data, **arguments)
    cut = Remembers(stop)
    with pytest.raises(KeyboardInterrupt):
        measures[name](model, LOSS, data, session=cut, **arguments)
    assert cut.states or name == "sam"
    rest = Remembers(states=cut.states)
    found = measures[name](model, LOSS, data, session=rest, **arguments)
    frames = found.to_pandas(), whole.to_pandas()
    np.testing.assert_array_equal(*(f[["value", "standard_error"]].to_numpy() for f in frames))
    assert found.loss == whole.loss
    assert found.to_dict() == whole.to_dict()
    assert rest.steps <= cut.steps + 1 if name != "sam" else rest.steps <= 4


def test_a_partial_result_of_more_examples_than_there_are_is_refused():
    model = convolutional()
    x, y = examples_for(model)
    cut = Remembers(3)
    with pytest.raises(KeyboardInterrupt):
        connectivity(model, LOSS, stream_of_unknown_length(x, y), session=cut, examples_at_once=4)
    with pytest.raises(BadInput, match="partial result is of 8 examples or more, .* gave 5:"):
        connectivity(model, LOSS, stream_of_unknown_length(x[:5], y[:5]), session=cut)


def test_a_partial_result_of_other_replicas_is_not_gone_on_from(monkeypatch):
    """Its chunks would lose examples, where the replicas do not divide them."""
    model = convolutional()
    data = examples_for(model)
    whole = connectivity(model, LOSS, data, examples_at_once=3)
    cut = Remembers(2)
    with pytest.raises(KeyboardInterrupt):
        connectivity(model, LOSS, data, session=cut, examples_at_once=3)
    even = network.Network.divisible_by_replicas
    monkeypatch.setattr(
        network.Network, "divisible_by_replicas", lambda self, size: even(self, size + size % 2)
    )
    again = Remembers(states=cut.states)
    found = connectivity(model, LOSS, data, session=again, examples_at_once=3)
    assert again.steps == 3  # chunks of 4, all of them
    assert found.total == pytest.approx(whole.total, rel=1e-5)


@pytest.mark.parametrize("measure", [sharpness.connectivity, sharpness.hessian_trace])
def test_derivatives_that_are_not_finite_are_no_result(measure):
    """The loss is finite: tanh(inf) = 1."""
    model = convolutional()
    x, y = examples_for(model)
    with pytest.raises(network.NotFinite, match="or a derivative of it is"):
        measure(model, lambda y, z: tf.sqrt(0 * z[:, 0]) + z[:, 1], (x, y))
    x[6, 0, 0, 0] = np.inf
    with pytest.raises(network.NotFinite, match="Example 6 of the data") as error:
        measure(model, LOSS, (x, y), examples_at_once=4)
    assert error.value.example == 6


# 1, 2 and 4 replicas, in processes of their own.

SCRIPT = pathlib.Path(__file__).with_name("replicas_script.py")


def measured(replicas, names):
    done = ended([str(SCRIPT), str(replicas), *names], timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "replicas, names", [(2, ["C", "trace", "fisher_rao"]), (2, MEASURES), (4, MEASURES)]
)
@pytest.mark.quick_rows(1)
def test_replicas_share_the_examples_and_change_nothing(replicas, names):
    one, several = replicas_script.figures(1, names), measured(replicas, names)
    assert several.keys() == one.keys() == {*names, "C_m of training"}
    for name, figures in one.items():
        expected, found = (np.array(f, "float64") for f in (figures, several[name]))
        scale = np.nanmax(np.abs(expected))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * scale, err_msg=name)


def test_nothing_is_logged_that_is_no_users_business():
    said, logger = [], tf.get_logger()
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger.addHandler(handler)
    try:
        for _ in range(6):  # TensorFlow takes functions of six networks for one
            model = convolutional()
            sharpness.connectivity(model, LOSS, examples_for(model))
    finally:
        logger.removeHandler(handler)
    assert said == []
