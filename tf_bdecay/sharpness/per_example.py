"""A function of one example mapped over many: vectorized, where that can be trusted."""

import tensorflow as tf


def map_over_examples(function, elements):
    """Applies a function to every example, as `tf.vectorized_map`; inside a `tf.function`.

    Vectorizing gives matrix products an axis of examples, and TensorFlow's CPU kernel (oneDNN,
    2.20 and 2.21) writes out of bounds where a product of rank 4 or more repeats an operand over
    such axes (tensorflow issue 117700). A graph with such a product runs example by example.

    Args:
        function: of a structure of tensors, one example; stateless.
        elements: the structure, with examples along the first axis.

    Returns:
        The structure that the function returns, with examples along the first axis.
    """
    mapped = tf.vectorized_map(function, elements)
    operations = tf.compat.v1.get_default_graph().get_operations()
    if tf.config.list_logical_devices("GPU") or not any(map(_repeats_an_operand, operations)):
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
