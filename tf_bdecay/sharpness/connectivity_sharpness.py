"""Connectivity sharpness of any Keras model: eq. 4 and C_m, measured without changing it."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from tf_bdecay.errors import check_count, check_flag, require
from tf_bdecay.sensitivity import bias_ratio, bias_ratio_error, connection_sensitivity, l1_norms
from tf_bdecay.sharpness.over_examples import inputs, memory
from tf_bdecay.sharpness.over_examples.network import Network, NotFinite
from tf_bdecay.sharpness.over_examples.objective import at_least_float32
from tf_bdecay.sharpness.over_examples.stream import Stream
from tf_bdecay.sharpness.over_examples.tape import (
    dense_gradients,
    loss_gradients_and_sensitivity,
    map_over_examples,
)
from tf_bdecay.sharpness.results.result import ConnectivityResult
from tf_bdecay.sharpness.session import SILENT


def connectivity(
    model,
    loss,
    data,
    per_example=True,
    training=False,
    batch_size=None,
    *,
    examples_at_once=None,
    memory_gb=None,
    full_precision=True,
    roles=None,
    session=SILENT,
) -> ConnectivityResult:
    """Connectivity sharpness of a model on a set of examples, and the gradient of its mean loss.

        C(theta)   = E_D || dl/dtheta * theta ||_1    (eq. 4; per_example=True)
        C_m(theta) = E_B || dL_B/dtheta * theta ||_1  L_B the mean loss of a mini-batch B of m

    Both are sums over parameters, so they split exactly over variables, layers and kinds (eq. 11).
    Standard errors are over the examples, or over the mini-batches. Regularisation losses are
    excluded. Weights, moving statistics and seeds do not change. In training mode, dropout draws
    its mask from the current seeds; with `per_example`, all examples get the same mask.

    Args:
        model: a built Keras model. Under a strategy its replicas share the examples.
        loss: callable (y, outputs) that returns a value for each example; a Keras loss, whose
            reduction over examples is undone; or the name of one, with its meaning in `compile`.
            None for the loss that the model was compiled with.
        data: pair (x, y) of arrays, or of structures of arrays, with one entry per example; a
            finite `tf.data.Dataset` or `keras.utils.PyDataset` of batches of such pairs.
        per_example: whether to measure C or C_m.
        training: whether the model runs in training mode. Reports use inference mode, where
            accumulated statistics leave examples independent of each other
            (docs/method.md, "Connectivity sharpness").
        batch_size: m of C_m; None for all examples as one batch. Examples that do not fill a
            mini-batch are left out, and counted in the result.
        examples_at_once: how many examples to process at a time; it affects only rounding. By
            default as many as `memory_gb` allows, up to 256.
        memory_gb: the memory budget in 1e9 bytes; by default a quarter of the host's free memory,
            or 4 with a GPU or TPU.
        full_precision: whether layers of mixed precision compute in float32.
        roles: `Roles` of the model's variables in any order, such as `optimizer.roles`; by default
            `roles_of(model)`.
        session: a `Session`, for progress and partial results.

    Returns:
        A `ConnectivityResult`.

    Raises:
        BadInput: a model that is not built or has nothing to train; data that cannot become
            tensors, hold no examples, or have unequal numbers of x and y; a loss without a value
            for each example; C in training mode of a model that uses batch statistics; an argument
            of the wrong type; too little memory; NaN or infinity in the model or the data
            (`NotFinite`).

    Example:

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        result = tf_bdecay.sharpness.connectivity(model, loss, (x, y))
        print(result)                                   # by kind and by layer
        result.total, result.by_kind["beta"], result.bias_ratio
    """
    check_flag("per_example", per_example)
    network = Network(model, loss, training, roles, full_precision)
    stream = Stream(data)
    if batch_size is not None:
        check_count("batch_size", batch_size)
        require(
            not per_example,
            "`batch_size` is m of C_m, and C is of single examples: use per_example=False, or "
            f"leave it out. Received: batch_size={batch_size}",
        )
    if per_example and training:
        inputs.refuse_batch_statistics(model)
    gradients_each = 2 if per_example else 0
    size = memory.examples_at_once(
        network, stream, 3, examples_at_once, memory_gb, gradients_each, batch_size
    )
    if per_example:
        found = _of_examples(network, stream, size, session)
    elif batch_size is None:
        found = _of_all(network, stream, size, session)
    else:
        found = _of_mini_batches(network, stream, size, batch_size, session)
    ratio, errors = _bias_ratios(network.roles, found, found.pop("covariances"))
    return ConnectivityResult(
        partition=network.partition,
        training=training,
        bias_ratio=ratio,
        bias_ratio_errors=errors,
        per_example=per_example,
        **found,
    )


def _of_examples(network, stream, size, session):
    """C and its standard errors, from the means over examples of C and C^2 by group."""
    loss, (gradients, c, squares, products) = network.mean(
        examples_kernel, stream, size, session=session, key="C with r"
    )
    n = stream.examples
    mean, square = c.numpy(), squares.numpy()
    of_means = 1 / (n - 1) if n > 1 else np.nan
    betas, gammas = _pairs(network.roles)
    return dict(
        loss=loss,
        gradients=gradients,
        shares=mean[: len(network.variables)],
        errors=np.sqrt(np.maximum(square - mean**2, 0) * of_means),
        covariances=(products.numpy() - mean[betas] * mean[gammas]) * of_means,
        examples=n,
        batch_size=1,
    )


def examples_kernel(network, x, y, weights):
    """Weighted sums over examples, for `Network.mean`.

    They are of the loss; the gradient; C and C^2 by group; and C(beta) C(gamma) of every pair.
    """
    matrix = network.partition.matrix
    betas, gammas = _pairs(network.roles)

    def one(example):
        x, y = tree.map_structure(lambda t: t[tf.newaxis], example)
        value, _, gradients, c = loss_gradients_and_sensitivity(
            lambda: (network.losses(x, y, 1, independent=True)[0], None), network.variables
        )
        c = [tf.cast(norm, "float64") for norm in c]
        return value, dense_gradients(gradients, network.variables), tf.stack(c)

    values, gradients, c = map_over_examples(one, (x, y))
    groups = tf.matmul(c, matrix)
    products = tf.gather(c, betas, axis=1) * tf.gather(c, gammas, axis=1)
    weights = tf.convert_to_tensor(weights)
    return tf.reduce_sum(values * tf.cast(weights, values.dtype)), (
        [tf.tensordot(tf.cast(weights, g.dtype), g, 1) for g in gradients],
        tf.linalg.matvec(groups, weights, transpose_a=True),
        tf.linalg.matvec(tf.square(groups), weights, transpose_a=True),
        tf.linalg.matvec(products, weights, transpose_a=True),
    )


def _of_all(network, stream, size, session):
    """C_m of all examples as one mini-batch."""
    loss, gradients = network.mean(gradient_kernel, stream, size, session=session, key="C_m of all")
    return _c_m(network, [_norms(network, gradients)], [loss], gradients, stream.examples)


def _of_mini_batches(network, stream, size, batch_size, session):
    """C_m over mini-batches; each gradient is summed over chunks before its norm is taken."""
    rows, losses, total, left_out = [], [], None, 0
    kept = session.restore("C_m")
    if kept:
        rows, losses = list(kept["rows"]), list(kept["losses"])
        total = [tf.constant(kept[f"gradient{i:05d}"]) for i in range(len(rows[0]))]
    for chunk in stream.chunks(batch_size, len(rows) * batch_size):
        if chunk.kept < batch_size:
            left_out = chunk.kept
            continue
        try:
            loss, gradients = network.mean(gradient_kernel, Stream((chunk.x, chunk.y)), size)
        except NotFinite as error:
            if error.example is None:
                raise
            raise NotFinite.of_example(chunk.start + error.example) from None
        rows.append(_norms(network, gradients))
        losses.append(loss)
        total = gradients if total is None else list(map(tf.add, total, gradients))
        session.keep("C_m", functools.partial(_state, list(rows), list(losses), total))
        session.progress(len(rows), stream.examples and stream.examples // batch_size)
    require(
        rows,
        f"The data do not fill one mini-batch: {left_out} examples. Received: "
        f"batch_size={batch_size}",
    )
    mean = [t / len(rows) for t in total]
    return _c_m(network, rows, losses, mean, batch_size, left_out)


def _c_m(network, rows, losses, gradients, batch_size, left_out=0):
    """C_m over mini-batches, with its standard errors, from the figures of each.

    Args:
        rows: list of each mini-batch's C_m by variable, [variables].
        losses: list of their mean losses.
        gradients: the mean of their gradients.
        batch_size: m.
        left_out: number of examples that filled no mini-batch.
    """
    rows, count = np.stack(rows), len(rows)
    betas, gammas = (rows[:, which] - rows[:, which].mean(0) for which in _pairs(network.roles))
    deviation = (rows @ network.partition.matrix).std(0, ddof=1) if count > 1 else np.nan
    return dict(
        loss=float(np.mean(losses)),
        gradients=gradients,
        shares=rows.mean(0),
        errors=np.broadcast_to(deviation / count**0.5, len(network.partition.groups)),
        covariances=(betas * gammas).sum(0) / (count * (count - 1) if count > 1 else np.nan),
        examples=count * batch_size,
        batch_size=batch_size,
        left_out=left_out,
    )


def _state(rows, losses, gradients):
    """The state from which C_m resumes: figures of the mini-batches and their summed gradients."""
    arrays = {f"gradient{i:05d}": g.numpy() for i, g in enumerate(gradients)}
    return {"rows": np.array(rows), "losses": np.array(losses), **arrays}


def gradient_kernel(network, x, y, weights):
    """Weighted sum of losses and its gradient, for `Network.mean`."""
    mean, _, gradients, _ = loss_gradients_and_sensitivity(
        lambda: (network.weighted_loss(x, y, weights), None),
        network.variables,
        sensitivities=False,
    )
    return mean, dense_gradients(gradients, network.variables)


def _norms(network, gradients):
    """C of each variable for a gradient: float64 [variables]."""
    pairs = zip(gradients, network.variables, strict=True)
    wide = [(at_least_float32(g), at_least_float32(v.value)) for g, v in pairs]
    norms = l1_norms(connection_sensitivity(*map(list, zip(*wide, strict=True))))
    return np.array([keras.ops.convert_to_numpy(norm) for norm in norms], "float64")


def _pairs(roles):
    """Indices of the betas and of the gammas of all normalization layers."""
    betas, gammas = ([getattr(pair, which) for pair in roles.pairs] for which in ("beta", "gamma"))
    return np.array(betas, "int32"), np.array(gammas, "int32")


def _bias_ratios(roles, found, covariances):
    """r of every normalization layer, and its standard error.

    r is computed in float32, as in the optimizer, so that both decide alike.
    """
    betas, gammas = _pairs(roles)
    c, errors = found["shares"], found["errors"]
    ratios = np.asarray(bias_ratio(c[betas].astype("float32"), c[gammas].astype("float32")))
    errors = bias_ratio_error(c[betas], c[gammas], errors[betas], errors[gammas], covariances)
    layers = [pair.layer for pair in roles.pairs]
    return tuple(dict(zip(layers, map(float, each), strict=True)) for each in (ratios, errors))
