"""Cuts batches of whatever `fit` takes for a strategy's replicas."""

import keras

from tf_bdecay.batch_checks import first_tensor
from tf_bdecay.batches import bounds
from tf_bdecay.errors import require


def for_replicas(model, data, batch_size, of):
    """Yields batches as `strategy.run` takes them, cut into parts if there are several replicas.

    Args:
        model: the model whose strategy runs them.
        data: as in `precise_statistics`.
        batch_size: examples per batch if data are arrays.
        of: name of the function that takes `data`, for messages.

    Yields:
        Structures of tensors; with several replicas, of per-replica values.

    Raises:
        BadInput: data are something else, or arrays of different lengths.
    """
    import tensorflow as tf

    from tf_bdecay.distribution import sharding
    from tf_bdecay.distribution.strategies import is_multi_worker

    strategy = model.distribute_strategy
    if is_multi_worker(strategy):
        yield from sharding.cut_for_workers(strategy, data)
        return
    if isinstance(data, keras.utils.PyDataset):
        whole = (data[i] for i in range(len(data)))
    elif isinstance(data, tf.data.Dataset) or not _is_arrays(data):
        whole = data
    else:
        whole = _cut(data, int(batch_size), of)
    replicas = strategy.num_replicas_in_sync
    wrong = (
        f"`data` of {of} must be arrays, or batches of arrays, as `fit` takes them; "
        f"numpy.array makes one of a list. Received: {type(data).__name__}"
    )
    require(hasattr(whole, "__iter__") or hasattr(whole, "__getitem__"), wrong)
    for batch in whole:
        require(_is_arrays(batch), wrong)
        batch = keras.tree.map_structure(
            lambda t: t if t is None else tf.convert_to_tensor(t), batch
        )
        if replicas == 1:
            yield batch
            continue

        def part(context, batch=batch):
            begin, end = bounds(
                len(first_tensor(batch)), context.replica_id_in_sync_group, replicas
            )
            return keras.tree.map_structure(lambda t: t if t is None else t[begin:end], batch)

        yield strategy.experimental_distribute_values_from_function(part)


def _is_arrays(data):
    """Whether data are a structure of arrays; a list of tuples is a list of batches."""
    if isinstance(data, list) and all(isinstance(each, tuple) for each in data):
        return False
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    return bool(leaves) and all(hasattr(leaf, "shape") for leaf in leaves)


def _cut(arrays, size, of):
    """Consecutive batches of arrays, without a smaller last one unless it is the only one."""
    lengths = {len(leaf) for leaf in keras.tree.flatten(arrays) if leaf is not None}
    require(
        len(lengths) == 1,
        f"The arrays of `data` of {of} must be of one length. Received: lengths {sorted(lengths)}",
    )
    (length,) = lengths
    for begin in range(0, max(length - size, 0) + 1, size):
        yield keras.tree.map_structure(
            lambda a, begin=begin: a if a is None else a[begin : begin + size], arrays
        )
