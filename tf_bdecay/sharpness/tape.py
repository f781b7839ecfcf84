"""Loss, gradients and sensitivity from one backward pass, of a batch and of single examples.

Measuring (`connectivity`) and training (`Trainer`) call the same function.
"""

import tensorflow as tf

from tf_bdecay import quirks
from tf_bdecay.errors import require
from tf_bdecay.sensitivity import connection_sensitivity, l1_norms


def loss_gradients_and_sensitivity(objective, variables, scale_loss=None, sensitivities=True):
    """Value, gradients and connectivity sharpness of an objective, from one backward pass.

        C(theta_v) = || dL/dtheta_v * theta_v ||_1    of every variable v, L the objective

    This is C_m of a mini-batch if L is its mean loss, and the summand of eq. 4 if L is the loss of
    one example. Under a strategy it is of this replica's objective: |mean| is not mean|.|, so in
    training the optimizer takes C and r from the gradients after it has reduced them. Such a caller
    leaves the sensitivities out of a step that runs eagerly; a graph drops them unused.

    Args:
        objective: callable without arguments, run under the tape; returns a scalar loss and
            anything else that the caller wants back.
        variables: list of Keras variables.
        scale_loss: linear function of the loss, as `optimizer.scale_loss`, applied before the
            backward pass so that small gradients survive float16; None for none.
        sensitivities: whether to compute the last of the results.

    Returns:
        The loss (not scaled); what else the objective returned; the gradients, scaled as the loss
        was, None where the loss does not depend on a variable; and the list of scalars C, not
        scaled, in units of the loss and 0 where there is no gradient, or None if left out.
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
    """Gradients as tensors in the variables' shapes and dtypes: 0 for None, no sparse rows."""
    return [
        tf.zeros(v.shape, v.dtype) if g is None else tf.cast(tf.convert_to_tensor(g), v.dtype)
        for g, v in zip(gradients, variables, strict=True)
    ]


def map_over_examples(function, elements):
    """Applies a function to every example, as `tf.vectorized_map`; inside a `tf.function`.

    Args:
        function: of a structure of tensors, one example; stateless.
        elements: the structure, with examples along the first axis.

    Returns:
        The structure that the function returns, with examples along the first axis.

    Raises:
        BadInput: oneDNN would write out of bounds (see `quirks`).
    """
    mapped = tf.vectorized_map(function, elements)
    if not quirks.onednn_may_run():
        return mapped
    operations = tf.compat.v1.get_default_graph().get_operations()
    require(
        not any(map(quirks.is_overrun_convolution, operations)),
        "TensorFlow's oneDNN kernels corrupt memory in gradients of strided 1x1 convolutions whose "
        "input channels are not a multiple of 16, for single examples: set the environment "
        "variable TF_ENABLE_ONEDNN_OPTS=0, or measure C_m with per_example=False.",
    )
    if not any(map(quirks.is_overrun_product, operations)):
        return mapped
    # The vectorized operations are not used any more: the graph drops them.
    signature = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), mapped)
    return tf.map_fn(function, elements, fn_output_signature=signature)
