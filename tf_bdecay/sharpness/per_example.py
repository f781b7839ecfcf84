"""A function of one example mapped over many: vectorized, where that can be trusted."""

import tensorflow as tf

from tf_bdecay import quirks
from tf_bdecay.errors import require


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
