"""The examples that a measure reads, as chunks of one shape, as often as needed."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from tf_bdecay.errors import BadInput, first_line, require
from tf_bdecay.sharpness.over_examples.inputs import few

_RIGHT = "pass a pair (x, y) of arrays, a tf.data.Dataset or a keras.utils.PyDataset of batches"


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Consecutive examples.

    Attributes:
        x, y: structures of arrays, all of one length. The last chunk is padded with its last
            example, so that every chunk has one shape and is traced once.
        start: the number of examples before the chunk.
        kept: the number of examples without the padding.
    """

    x: object
    y: object
    start: int
    kept: int


class Stream:
    """A set of examples that can be read repeatedly, a chunk at a time.

    Args:
        data: pair (x, y) of arrays, or of structures of arrays, with one entry per example; a
            finite `tf.data.Dataset` or `keras.utils.PyDataset` of batches of such pairs, however
            large.

    Attributes:
        examples: their number; None for a data set that was not yet read to the end.

    Raises:
        BadInput: data of another kind; an endless set; sample weights; no examples; unequal numbers
            of x and y. Errors that only reading reveals are raised on reading.
    """

    def __init__(self, data):
        self.examples = None
        if isinstance(data, tf.data.Dataset):
            require(
                data.cardinality() != tf.data.INFINITE_CARDINALITY,
                "The data set never ends: measure a part of it, data.take(number_of_batches).",
            )
            self._batches = data.as_numpy_iterator
        elif isinstance(data, keras.utils.PyDataset):
            require(
                data.num_batches is not None,
                "The PyDataset never ends: give it a number of batches.",
            )
            self._batches = lambda: (data[i] for i in range(data.num_batches))
        else:
            pair = _pair_of_arrays(data)
            self.examples = _length(pair)
            require(self.examples, "The data hold no examples: x and y are empty.")
            self._batches = lambda: iter([pair])

    def chunks(self, size, start=0):
        """All examples in order, `size` at a time.

        Args:
            size: int, the number of examples in every chunk; the last one is padded if need be.
            start: the number of examples to skip at the beginning, a multiple of `size`.

        Yields:
            `Chunk`s.
        """
        position = 0
        for x, y, kept in self._cut(size):
            if position >= start:
                if kept < size:
                    index = np.minimum(np.arange(size), kept - 1)
                    x, y = tree.map_structure(lambda a, i=index: a[i], (x, y))
                yield Chunk(x, y, position, kept)
            position += kept
        require(position, "The data hold no examples: the data set gave no batch.")
        require(
            self.examples in (None, position),
            f"The data set gave {self.examples} examples at first and {position} when it was read "
            "again: measure a data set that repeats itself exactly.",
        )
        self.examples = position

    def first(self):
        """x of the first batch, or of all arrays: for its shapes and dtypes."""
        batch = next(iter(self._batches()), None)
        require(batch is not None, "The data hold no examples: the data set gave no batch.")
        return _pair_of_arrays(batch)[0]

    def count(self):
        """The number of examples; reads them all if nothing else tells it."""
        if self.examples is None:
            self.examples = sum(_length(_pair_of_arrays(batch)) for batch in self._batches())
        return self.examples

    def _cut(self, size):
        """(x, y, number) with `size` examples each, except that the last may have fewer."""
        waiting, count = [], 0
        for batch in self._batches():
            pair = _pair_of_arrays(batch)
            length, start = _length(pair), 0
            while count + length - start >= size:
                stop = start + size - count
                yield *_joined([*waiting, _slice(pair, start, stop)]), size
                waiting, count, start = [], 0, stop
            if start < length:
                waiting.append(_slice(pair, start, length))
                count += length - start
        if count:
            yield *_joined(waiting), count


def _slice(pair, start, stop):
    return tree.map_structure(lambda a: a[start:stop], pair)


def _joined(parts):
    if len(parts) == 1:
        return parts[0]
    return tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def _pair_of_arrays(data):
    is_pair = isinstance(data, (tuple, list)) and len(data) == 2
    weighted = isinstance(data, (tuple, list)) and len(data) == 3
    require(
        is_pair,
        "The examples have weights, (x, y, sample_weight), and sharpness is of their plain mean "
        "loss: leave the weights out."
        if weighted
        else f"The data must be examples with targets: {_RIGHT}. Received: {type(data).__name__}"
        + (f" of {len(data)}" if isinstance(data, (tuple, list)) else ""),
    )
    try:
        x, y = tree.map_structure(_array, tuple(data))
        if any(array.dtype.kind == "c" for array in tree.flatten(y)):
            raise TypeError("y is complex, which no loss takes")
    except (TypeError, ValueError) as error:
        raise BadInput(
            "x and y must be arrays, or structures of arrays, that can be made tensors. "
            f"Received: {_types(data[0])} and {_types(data[1])} ({first_line(error)})"
        ) from error
    return x, y


def _array(leaf):
    array = np.asarray(leaf)
    if array.dtype == object:
        raise TypeError("an array of Python objects")
    if array.dtype.kind in "Mm" or array.dtype.names:
        raise TypeError(f"an array of {array.dtype}")
    return array


def _length(pair):
    lengths = [[a.shape[0] if a.shape else None for a in tree.flatten(part)] for part in pair]
    known = set(lengths[0] + lengths[1])
    require(
        len(known) == 1 and None not in known,
        "x and y must be arrays that hold as many examples as each other, along their first axis; "
        "a data set must give batches of them, data.batch(n). "
        f"Received: {_listed(lengths[0])} and {_listed(lengths[1])}",
    )
    return known.pop()


def _types(part):
    return few([type(leaf).__name__ for leaf in tree.flatten(part)])


def _listed(lengths):
    return few(["a scalar" if n is None else n for n in lengths])
