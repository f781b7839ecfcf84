"""Turns the gradients that `apply` is given into dense tensors, at most one per variable."""

from collections import Counter

from keras import ops

from tf_bdecay.errors import BadInput, require
from tf_bdecay.frameworks import keras_private


def by_index(optimizer, gradients, variables=None):
    """Gradients by the index of their variable, ascending, without those that are None.

    Args:
        optimizer: the optimizer; it is built with the variables if it is not built yet.
        gradients: as `apply` takes them.
        variables: their variables; None for those that the optimizer was built with.

    Returns:
        Dict of index to tensor; empty if there are no gradients.

    Raises:
        BadInput: the numbers of gradients and variables differ, a variable has two gradients, or
            `variables` is None before the optimizer is built.
    """
    gradients = list(gradients)
    if not gradients:
        return {}
    if variables is None:
        require(optimizer.built, "`apply(grads)` without variables needs a built optimizer.")
        variables = keras_private.variables_of(optimizer)
    variables = list(variables)
    require(
        len(gradients) == len(variables),
        f"`apply` needs one gradient for each of {len(variables)} variables "
        f"(None for none). Received: {len(gradients)} gradients",
    )
    if not optimizer.built:
        optimizer.build(variables)
    pairs = keras_private.gradients_by_index(optimizer, gradients, variables)
    found = dict(pairs)
    twice = [i for i, count in Counter(i for i, _ in pairs).items() if count > 1]
    require(
        not twice,
        "A variable has one gradient in an update: add up those of one that is used twice. "
        f"Received twice: {', '.join(optimizer.roles.variables[i].label for i in twice)}",
    )
    found = {i: dense(found[i]) for i in sorted(found)}
    own = keras_private.variables_of(optimizer)
    wrong = next((i for i, g in found.items() if not _fits(g.shape, own[i].shape)), None)
    if wrong is not None:
        raise BadInput(
            f"The gradient of {optimizer.roles.variables[wrong].label} must have its shape, "
            f"{tuple(own[wrong].shape)}. Received: {tuple(found[wrong].shape)}"
        )
    return found


def _fits(shape, wanted):
    """Whether a shape, of which a graph may know a part, can be the wanted one."""
    if getattr(shape, "rank", 0) is None:
        return True
    return len(shape) == len(wanted) and all(
        size in (None, right) for size, right in zip(shape, wanted, strict=True)
    )


def dense(gradient):
    """Converts a gradient to a dense tensor; that of an embedding may be sparse.

    LAMB's norms need every row. TensorFlow has `IndexedSlices` and `SparseTensor`, JAX `BCOO`.
    """
    if hasattr(gradient, "dense_shape") and hasattr(gradient, "values"):
        import tensorflow as tf

        sparse = isinstance(gradient, tf.SparseTensor)
        return tf.sparse.to_dense(gradient) if sparse else tf.convert_to_tensor(gradient)
    return ops.convert_to_tensor(gradient, sparse=False)
