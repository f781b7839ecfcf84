"""The shapes that a source's batches have in common: by these `fit` is traced and a model built."""

import dataclasses
from typing import Any

import keras

COMPARED = 4  # batches of a source; Keras compares 2


@dataclasses.dataclass(frozen=True)
class Shaped:
    """An array without its values.

    Attributes:
        shape: a tuple, with None for a size that is not the same in every batch. The first is the
            number of examples of the first batch.
        dtype: as the array has it.
    """

    shape: tuple
    dtype: Any


def in_common(batches, declared=None):
    """The shapes that batches have in common.

    Args:
        batches: list of tuples of structures of arrays, one or more.
        declared: the `element_spec` of the `tf.data.Dataset` that they are from: a size that it
            leaves open may differ in a later batch. None if they are from elsewhere.

    Returns:
        Structure of `Shaped`.
    """
    columns = [keras.tree.flatten(batch) for batch in batches]
    if declared is not None:
        columns.append(keras.tree.flatten(as_tuple(declared)))
    found = [_of_one(*leaves) for leaves in zip(*columns, strict=True)]
    return keras.tree.pack_sequence_as(batches[0], found)


def as_tuple(batch):
    """A batch, as `fit` takes it, as (x,), (x, y) or (x, y, sample_weight)."""
    batch = keras.tree.lists_to_tuples(batch)
    return batch if isinstance(batch, tuple) else (batch,)


def _of_one(first, *others):
    """The `Shaped` of one array of every batch."""
    shapes = [_sizes(getattr(other, "shape", None)) for other in others]
    shapes = [sizes for sizes in shapes if sizes is not None and len(sizes) == len(first.shape)]
    by_axis = zip(first.shape, *shapes, strict=True)
    common = [size if set(more) <= {size} else None for size, *more in by_axis]
    return Shaped((*first.shape[:1], *common[1:]), first.dtype)


def _sizes(shape):
    """The sizes of a shape; None if not even their number is known."""
    return None if shape is None or getattr(shape, "rank", 0) is None else list(shape)
