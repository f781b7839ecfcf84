"""A function of one example mapped over many: vectorized, where that can be trusted.

TensorFlow's CPU kernels of oneDNN (seen in 2.21, x86) write out of bounds in two cases that single
examples lead to, and so abort the process or worse:

* a matrix product of rank 4 or more that repeats an operand over leading axes (tensorflow issue
  117700), which vectorizing makes of a product of rank 3;
* a strided 1x1 convolution of few channels, differentiated for a batch of one example.
"""

import os

import tensorflow as tf

from tf_bdecay.errors import require


def map_over_examples(function, elements):
    """Applies a function to every example, as `tf.vectorized_map`; inside a `tf.function`.

    Args:
        function: of a structure of tensors, one example; stateless.
        elements: the structure, with examples along the first axis.

    Returns:
        The structure that the function returns, with examples along the first axis.

    Raises:
        BadInput: TensorFlow cannot be trusted with this function on this machine as it is set up.
    """
    mapped = tf.vectorized_map(function, elements)
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" or tf.config.list_logical_devices("GPU"):
        return mapped
    operations = tf.compat.v1.get_default_graph().get_operations()
    require(
        not any(map(_is_narrow_strided_convolution, operations)),
        "TensorFlow's oneDNN kernels corrupt memory in gradients of strided 1x1 convolutions whose "
        "input channels are not a multiple of 16, for single examples: set the environment "
        "variable TF_ENABLE_ONEDNN_OPTS=0, or measure C_m with per_example=False.",
    )
    if not any(map(_repeats_an_operand, operations)):
        return mapped
    # The vectorized operations are not used any more: the graph drops them.
    signature = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), mapped)
    return tf.map_fn(function, elements, fn_output_signature=signature)


def _repeats_an_operand(operation):
    if not operation.type.startswith("BatchMatMul"):
        return False
    a, b = (tensor.shape for tensor in operation.inputs)
    if a.rank is None or b.rank is None:
        return True
    return max(a.rank, b.rank) >= 4 and a[:-2].as_list() != b[:-2].as_list()


def _is_narrow_strided_convolution(operation):
    if operation.type != "Conv2D":
        return False
    height, width, channels, _ = operation.inputs[1].shape
    return height == width == 1 and channels % 16 and max(operation.get_attr("strides")) > 1
