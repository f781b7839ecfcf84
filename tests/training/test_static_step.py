"""A replica's whole step as a TPU needs it: compiled by XLA, with static shapes; no TPU ran it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_bdecay
from tests.training import small
from tf_bdecay import decay

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


def step_of(trainer, compiled):
    @tf.function(jit_compile=compiled, autograph=False)
    def step(x, y):
        return trainer.train_step((x, y))

    return step


def batch_of(dtype="float32"):
    x, y = small.digits(BATCH)
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
        trainer = small.trainer(optimizer, micro_batch_size=BATCH // 2)
        step = step_of(trainer, compiled)
        x, y = batch_of()
        if compiled:
            graph = step.get_concrete_function(
                tf.TensorSpec(x.shape, x.dtype), tf.TensorSpec(y.shape, y.dtype)
            ).graph
            assert len(functions_of(graph)) > 1  # the loop was seen
            assert unknown_shapes(graph) == []
        losses = [float(step(x, y)["loss"]) for _ in range(2)]
        results[compiled] = losses, small.values(trainer.trainable_variables)
    tolerance = 1e-4 if policy == "float32" else 3e-2
    np.testing.assert_allclose(results[True][0], results[False][0], rtol=tolerance)
    for a, b in zip(results[True][1], results[False][1], strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


def test_an_unknown_batch_is_noticed():
    trainer = small.trainer()
    graph = (
        step_of(trainer, False)
        .get_concrete_function(
            tf.TensorSpec([None, 8, 8, 1], tf.float32), tf.TensorSpec([None], tf.int64)
        )
        .graph
    )
    assert unknown_shapes(graph)


def test_an_operation_that_xla_does_not_have_is_noticed():
    trainer = small.trainer()
    x, y = batch_of()

    @tf.function(jit_compile=True, autograph=False)
    def step(x, y):
        return trainer.train_step((tf.strings.to_number(tf.strings.as_string(x)), y))

    with pytest.raises(tf.errors.OpError):
        step(x, y)["loss"].numpy()
