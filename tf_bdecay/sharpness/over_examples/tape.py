"""Loss, gradients and sensitivity from one backward pass, for a batch or single examples.

Measuring (`connectivity`) and training (`Trainer`) call the same function.
"""

import tensorflow as tf

from tf_bdecay.errors import BadInput, require
from tf_bdecay.frameworks import quirks
from tf_bdecay.sensitivity import connection_sensitivity, l1_norms


def loss_gradients_and_sensitivity(objective, variables, scale_loss=None, sensitivities=True):
    """Value, gradients and connectivity sharpness of an objective, from one backward pass.

        C(theta_v) = || dL/dtheta_v * theta_v ||_1    of every variable v, L the objective

    This is C_m of a mini-batch if L is its mean loss, and the summand of eq. 4 if L is the loss of
    one example. Under a strategy it belongs to this replica's objective. As |mean| is not mean |.|,
    the optimizer takes C and r in training from the reduced gradients, and the training step leaves
    the sensitivities out.

    Args:
        objective: callable without arguments, run under the tape; returns a scalar loss and
            anything else that the caller wants back.
        variables: list of Keras variables.
        scale_loss: linear function of the loss, such as `optimizer.scale_loss`, applied before the
            backward pass so that small gradients survive float16; None to leave the loss unscaled.
        sensitivities: whether to compute the last of the results.

    Returns:
        The loss, unscaled; what else the objective returned; the gradients, scaled like the loss,
        and None where the loss does not depend on a variable; and the list of scalars C, unscaled,
        in units of the loss and 0 where there is no gradient, or None if left out.
    """
    with tf.GradientTape() as tape:
        loss, aux = objective()
        scaled = loss if scale_loss is None else scale_loss(loss)
    gradients = tape.gradient(scaled, variables)
    if not sensitivities:
        return loss, aux, gradients, None
    dense = dense_gradients(gradients, variables)
    norms = l1_norms(connection_sensitivity(dense, [v.value for v in variables]))
    if scale_loss is not None:
        scale = tf.cast(scale_loss(tf.ones_like(loss)), "float32")
        norms = [tf.cast(norm, "float32") / scale for norm in norms]
    return loss, aux, gradients, norms


def dense_gradients(gradients, variables):
    """Gradients as dense tensors in the variables' shapes and dtypes; None becomes 0."""
    return [
        tf.zeros(v.shape, v.dtype) if g is None else tf.cast(tf.convert_to_tensor(g), v.dtype)
        for g, v in zip(gradients, variables, strict=True)
    ]


def with_tangents(model, values, tangents):
    """The results of a function of parameters, and its Jacobian times a vector; in a `tf.function`.

        u = J t

    It uses forward mode where TensorFlow can (see `quirks`). Elsewhere it takes two backward
    passes: u is the derivative with respect to w of (J^T w) . t, which is linear in w.

    Args:
        model: callable without arguments that returns anything, and a tensor computed from the
            values.
        values: list of tensors, the parameters.
        tangents: list of tensors t in their shapes.

    Returns:
        Both results of the model, and u in the tensor's shape.
    """
    try:
        with tf.autodiff.ForwardAccumulator(values, tangents) as forward:
            aux, tensor = model()
        zero = tf.UnconnectedGradients.ZERO
        return aux, tensor, forward.jvp(tensor, unconnected_gradients=zero)
    except BadInput:
        raise
    except Exception:  # TensorFlow raises many kinds; an error of the model's recurs below
        return _with_tangents_by_reverse(model, values, tangents)


def _with_tangents_by_reverse(model, values, tangents):
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(values)
            aux, tensor = model()
        w = tf.ones_like(tensor)
        outer.watch(w)
        transposed = inner.gradient(tensor, values, output_gradients=w)
        products = [
            tf.reduce_sum(tf.convert_to_tensor(g) * t)
            for g, t in zip(transposed, tangents, strict=True)
            if g is not None
        ]
        slope = tf.add_n([tf.cast(p, tensor.dtype) for p in products] or [tf.zeros_like(w)])
    u = outer.gradient(slope, w, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return aux, tensor, u


def map_over_examples(function, elements):
    """Applies a function to every example inside a `tf.function`, vectorized if possible.

    Args:
        function: takes one example, a structure of tensors; stateless.
        elements: the structure, with examples along the first axis.

    Returns:
        The structure that the function returns, with examples along the first axis.

    Raises:
        BadInput: oneDNN would write out of bounds (see `quirks`).
    """
    # In a graph of its own: otherwise the leftovers of a failed conversion would run.
    at_once = tf.function(lambda e: tf.vectorized_map(function, e), autograph=False)
    try:
        with quirks.silent_tracing("CRITICAL"):
            traced = at_once.get_concrete_function(elements)
    except BadInput:
        raise
    except Exception:  # TensorFlow raises many kinds; an error of the function's recurs below
        return _one_by_one(function, elements)
    if quirks.onednn_may_run():
        operations = traced.graph.get_operations()
        _refuse_overruns(operations)
        if any(map(quirks.is_overrun_product, operations)):
            return _one_by_one(function, elements)
    return at_once(elements)


def _one_by_one(function, elements):
    """`tf.map_fn`, with the signature of the results taken from a trace."""
    specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), elements)
    traced = tf.function(function, autograph=False).get_concrete_function(specs)
    if quirks.onednn_may_run():
        _refuse_overruns(traced.graph.get_operations())
    signature = tf.nest.map_structure(
        lambda t: tf.TensorSpec(t.shape, t.dtype), traced.structured_outputs
    )
    return tf.map_fn(function, elements, fn_output_signature=signature)


def _refuse_overruns(operations):
    require(
        not any(map(quirks.is_overrun_convolution, operations)),
        "TensorFlow's oneDNN kernels corrupt memory in gradients of strided 1x1 convolutions whose "
        "input channels are not a multiple of 16, for single examples: set the environment "
        "variable TF_ENABLE_ONEDNN_OPTS=0, or measure C_m with per_example=False.",
    )
