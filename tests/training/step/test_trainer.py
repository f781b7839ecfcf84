"""The train step gives Keras' losses as well as its weights: LAMB would hide a wrong scale."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_bdecay
from tests.training.small import digits, network, trainer, values
from tf_bdecay import decay
from tf_bdecay.training.building.losses import SmoothedCrossentropy
from tf_bdecay.training.step.trainer import Trainer


def fitted(make, x, y, sample_weight=None, **arguments):
    keras.utils.set_random_seed(0)
    model = make(network())
    model.compile(
        optimizer=tf_bdecay.Lamb(0.01),
        loss=SmoothedCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="weighted")],
        jit_compile=False,
        **arguments,
    )
    history = model.fit(
        x, y, sample_weight=sample_weight, batch_size=64, epochs=3, shuffle=False, verbose=0
    )
    return model, history.history


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.quick_rows(1)
def test_it_equals_stock_keras_in_weights_moments_losses_and_metrics(weighted):
    x, y = digits()
    weights = np.linspace(0.1, 2, len(x)).astype("float32") if weighted else None
    ours, history = fitted(lambda m: Trainer(m.input, m.output), x, y, weights)
    stock, expected = fitted(lambda m: m, x, y, weights)
    assert history.keys() == expected.keys()
    for name in history:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)
    for a, b in zip(values(ours.variables), values(stock.variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert history["loss"][-1] < history["loss"][0]


def test_regularisation_is_part_of_the_objective():
    x, y = digits(64)
    for factor in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        model = network()
        model.layers[1].kernel.regularizer = keras.regularizers.L2(factor)
        made = Trainer(model.input, model.output)
        made.compile(tf_bdecay.SGD(0.0), SmoothedCrossentropy(), jit_compile=False)
        loss = made.fit(x, y, batch_size=64, verbose=0).history["loss"][0]
        if not factor:
            plain = loss
    penalty = float(np.square(model.layers[1].kernel.numpy()).sum())
    assert loss == pytest.approx(plain + penalty, rel=1e-5)


def test_the_optimizer_sees_the_sensitivity_of_the_batch():
    x, y = digits(64)
    made = trainer(tf_bdecay.SGD(0.0, weight_decay=decay.NoDecay()))
    for variable in made.trainable_variables:  # beta starts at 0 and would have no sensitivity
        if variable.path.endswith("beta"):
            variable.assign(np.linspace(-1, 1, 8))
    made.fit(x, y, batch_size=64, shuffle=False, verbose=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(y, made(x, training=True))
        )
    gradients = tape.gradient(loss, [v.value for v in made.trainable_variables])
    expected = [
        np.abs(g.numpy() * v.numpy()).sum()
        for g, v in zip(gradients, made.trainable_variables, strict=True)
    ]
    np.testing.assert_allclose(made.optimizer.decision().sensitivity, expected, rtol=1e-4)


def test_a_trainer_can_be_saved_and_loaded(tmp_path):
    x, y = digits(64)
    made = trainer()
    made.fit(x, y, batch_size=64, verbose=0)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, Trainer)
    np.testing.assert_allclose(loaded(x[:8]), made(x[:8]), rtol=1e-6)


# A replica's whole step as a TPU needs it: compiled by XLA, with static shapes; no TPU ran it.

BATCH = 32


def functions_of(graph, seen=None):
    """A graph and the graphs of all functions that its operations call."""
    seen = {} if seen is None else seen
    seen[id(graph)] = graph
    for operation in graph.get_operations():
        for name in operation.node_def.attr:
            value = operation.node_def.attr[name]
            for called in (value.func, *value.list.func):
                if called.name:
                    inner = graph._get_function(called.name).graph
                    if id(inner) not in seen:
                        functions_of(inner, seen)
    return list(seen.values())


def unknown_shapes(graph):
    """The outputs of operations that have a dimension, or a rank, that the graph does not know."""
    return [
        f"{operation.type} {output.name} {output.shape}"
        for inner in functions_of(graph)
        for operation in inner.get_operations()
        for output in operation.outputs
        # Handles and lists of tensors have no extent of their own on a device; what a loop's
        # condition does not look at has no shape there.
        if output.consumers()
        and output.dtype not in (tf.variant, tf.resource)
        and not output.shape.is_fully_defined()
    ]


def step_of(made, compiled):
    @tf.function(jit_compile=compiled, autograph=False)
    def step(x, y):
        return made.train_step((x, y))

    return step


def batch_of(dtype="float32"):
    x, y = digits(BATCH)
    return tf.constant(x, dtype), tf.constant(y)


@pytest.mark.parametrize(
    "policy", [pytest.param("float32", marks=pytest.mark.slow), "mixed_bfloat16"]
)
def test_the_whole_step_compiles_with_static_shapes(policy):
    """Forward, backward, accumulation, decision and update; the same as without XLA."""
    keras.config.set_dtype_policy(policy)
    results = {}
    for compiled in (True, False):
        # Under TPUStrategy the update is no function of its own: the step is compiled whole.
        optimizer = tf_bdecay.Lamb(
            0.01, decay.AdaptiveBetaDecay(threshold=0.02), compile_update=False
        )
        made = trainer(optimizer, micro_batch_size=BATCH // 2)
        step = step_of(made, compiled)
        x, y = batch_of()
        if compiled:
            graph = step.get_concrete_function(
                tf.TensorSpec(x.shape, x.dtype), tf.TensorSpec(y.shape, y.dtype)
            ).graph
            assert len(functions_of(graph)) > 1  # the loop was seen
            assert unknown_shapes(graph) == []
        losses = [float(step(x, y)["loss"]) for _ in range(2)]
        results[compiled] = losses, values(made.trainable_variables)
    tolerance = 1e-4 if policy == "float32" else 3e-2
    np.testing.assert_allclose(results[True][0], results[False][0], rtol=tolerance)
    for a, b in zip(results[True][1], results[False][1], strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


def test_an_unknown_batch_is_noticed():
    made = trainer()
    graph = (
        step_of(made, False)
        .get_concrete_function(
            tf.TensorSpec([None, 8, 8, 1], tf.float32), tf.TensorSpec([None], tf.int64)
        )
        .graph
    )
    assert unknown_shapes(graph)
