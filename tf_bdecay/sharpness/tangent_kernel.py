"""Sharpness that needs no loss: the trace of the connectivity tangent kernel, by layer.

Kim et al. (2023). Like C, it does not change when a unit is rescaled.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from keras import tree

from tf_bdecay.errors import check_count
from tf_bdecay.sharpness.over_examples import inputs, memory, objective
from tf_bdecay.sharpness.over_examples.network import Network
from tf_bdecay.sharpness.over_examples.stream import Stream
from tf_bdecay.sharpness.over_examples.tape import dense_gradients, map_over_examples
from tf_bdecay.sharpness.results.result import Result
from tf_bdecay.sharpness.session import SILENT


@dataclasses.dataclass(frozen=True)
class TangentTraceResult(Result):
    """The mean over examples of the kernel's diagonal.

    Attributes:
        probes: number of sign vectors per example.
    """

    probes: int

    symbol, name = "Tr(CTK)", "Trace of the connectivity tangent kernel, per example"

    def _remark(self):
        return f"; {self.probes} probes an example"

    def _facts(self):
        return {"probes": self.probes}


def connectivity_tangent_trace(
    model,
    loss,
    data,
    num_probes=4,
    seed=0,
    training=False,
    *,
    examples_at_once=None,
    memory_gb=None,
    full_precision=True,
    roles=None,
    session=SILENT,
):
    """Trace of the connectivity tangent kernel per example, total and by layer.

        Tr(CTK) / n = E_x E_v || (J(x)^T v) * theta ||_2^2      v of independent +1 and -1

    J is the Jacobian of the outputs, so this is the sum of squares of their derivatives with
    respect to the logarithms of the parameters' magnitudes. It needs no labels. Like C, it stays
    the same when a unit is rescaled and the next layer undoes it (eq. 9). Kim et al.'s trace over
    a set of n examples is n times the total.

    Args:
        model, data, examples_at_once, memory_gb, full_precision, roles, session: as in
            `connectivity`.
        loss: as in `connectivity`; it is reported, but does not affect the trace.
        num_probes: sign vectors per example, at least 2; each costs one backward pass.
        seed: of the signs, which depend only on (seed, probe, the example's place).
        training: whether the model runs in training mode; refused for batch statistics.

    Returns:
        A `TangentTraceResult`; its standard errors, over probes, cover only the random signs.

    Raises:
        BadInput: as in `connectivity`; numbers out of range.

    Example:

        result = tf_bdecay.sharpness.connectivity_tangent_trace(model, loss, (x, y))
        result.total, result.standard_error, result.by_layer
    """
    check_count("num_probes", num_probes, least=2)
    check_count("seed", seed, least=0)
    network = Network(model, loss, training, roles, full_precision)
    if training:
        inputs.refuse_batch_statistics(model)
    stream = Stream(data)
    size = memory.examples_at_once(network, stream, 3, examples_at_once, memory_gb, 2)
    kept = session.restore("tangents") or {"rows": np.zeros((0, len(network.variables)))}
    rows, loss_value = list(kept["rows"]), kept.get("loss")
    while len(rows) < num_probes:
        key = tf.constant([seed, len(rows)], tf.int64)
        loss_value, shares = network.mean(
            kernel, stream, size, lambda chunk, key=key: (key, tf.constant(chunk.start, tf.int64))
        )
        rows.append(shares.numpy())
        state = {"rows": np.array(rows), "loss": np.array(loss_value)}
        session.keep("tangents", lambda state=state: state)
        session.progress(len(rows), num_probes)
    rows = np.array(rows)
    return TangentTraceResult(
        partition=network.partition,
        shares=rows.mean(0),
        errors=(rows @ network.partition.matrix).std(0, ddof=1) / len(rows) ** 0.5,
        loss=float(loss_value),
        examples=stream.count(),
        training=training,
        probes=len(rows),
    )


def kernel(network, x, y, weights, key, start):
    """Weighted sums over examples of loss and || (J^T v) * theta ||^2, for `Network.mean`.

    A key, int64 [2], and the place of the first example determine the signs v.
    """
    count = weights.shape[0]
    if not network.training:  # replicas split a chunk
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        start += count * tf.cast(replica, tf.int64)
    places = start + tf.range(count, dtype=tf.int64)
    values = network.values()
    outputs = network.outputs(x)
    losses = objective.example_losses(network.loss, y, outputs, count)
    signs = tree.map_structure(lambda t: _signs(key, places, t.shape[1:]), outputs)

    def one(example):
        x, signs = tree.map_structure(lambda t: t[tf.newaxis], example)
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = tree.flatten(network.outputs(x, values, independent=True))
        signs = [tf.cast(s, t.dtype) for s, t in zip(tree.flatten(signs), outputs, strict=True)]
        pulled = tape.gradient(outputs, values, output_gradients=signs)
        pulled = dense_gradients(pulled, network.variables)
        return tf.stack([_square(g * v) for g, v in zip(pulled, values, strict=True)])

    squares = map_over_examples(one, (x, signs))
    weights = tf.convert_to_tensor(weights)
    return (
        tf.reduce_sum(losses * tf.cast(weights, losses.dtype)),
        tf.linalg.matvec(squares, weights, transpose_a=True),
    )


def _square(x):
    return tf.reduce_sum(tf.square(tf.cast(x, "float64")))


def _signs(key, places, shape):
    """int32 [examples, *shape] of +1 and -1, determined by key and place."""

    def of(place):
        own = tf.random.experimental.stateless_fold_in(key, place)
        return tf.random.stateless_uniform(shape, own, 0, 2, tf.int32)

    bits = tf.map_fn(of, tf.convert_to_tensor(places), fn_output_signature=tf.int32)
    return 2 * bits - 1
