"""Sources of an epoch's batches, from any batch on: arrays, or data sets that a user has made.

A source gives the same batches for an epoch in every process. This is checked as far as possible: a
data set's first batch is read twice and compared, and checkpoints hold a digest of the data.
"""

import hashlib
import itertools
import math

import keras
import numpy as np

from tf_bdecay.callbacks.resuming import batch_shapes
from tf_bdecay.data.order import permutation
from tf_bdecay.errors import BadInput, check_count, require, shown

SAMPLED = 64  # examples of arrays that the digest covers
_OTHERWISE = (
    "give Resume.data a function of the epoch, such as lambda epoch: images.shuffle(10_000, "
    "seed=epoch).map(...).batch(128), whose random numbers follow from its seeds"
)


def digest(batch):
    """The SHA-256 of a structure of arrays or tensors: their shapes, dtypes and bytes."""
    found = hashlib.sha256()
    for leaf in keras.tree.flatten(batch):
        if leaf is None:
            continue
        array = np.asarray(leaf)
        found.update(f"{array.dtype} {array.shape}".encode())
        exact = array.tolist() if array.dtype == object else array
        found.update(repr(exact).encode() if array.dtype == object else array.tobytes())
    return found.hexdigest()


class Arrays:
    """Batches of arrays in the order of `data.order.permutation`; none is read before its turn.

    Every source has `num_batches`, the batches of an epoch, and `shapes`, a structure of
    `batch_shapes.Shaped`.

    Args:
        arrays: (x, y, sample_weight), without those that are None.
        batch_size: examples per batch.
        seed: of the order.
        shuffle: whether each epoch has an order of its own; otherwise the arrays' order holds.
        drop_remainder: whether an epoch's last, smaller batch is left out.
    """

    whole = True  # batches can be gathered by their examples' indices

    def __init__(self, arrays, batch_size, seed, shuffle, drop_remainder):
        check_count("batch_size", batch_size, of="Resume.data", what="a number of examples")
        self.arrays = keras.tree.map_structure(np.asarray, keras.tree.lists_to_tuples(arrays))
        sizes = {len(a) if a.shape else 0 for a in keras.tree.flatten(self.arrays)}
        require(
            len(sizes) == 1,
            "The arrays of Resume.data must be of one length, by examples. Received: lengths "
            f"{sorted(sizes)}",
        )
        (self.examples,) = sizes
        self.batch_size, self.seed, self.shuffle = int(batch_size), int(seed), shuffle
        self.drop_remainder = drop_remainder
        count = self.examples / self.batch_size
        self.num_batches = math.floor(count) if drop_remainder else math.ceil(count)
        require(
            self.num_batches > 0,
            f"Resume.data has no batch: {self.examples} examples, batch_size={batch_size}"
            + (", drop_remainder=True." if drop_remainder else "."),
        )

    @property
    def shapes(self):
        """Those of a batch."""
        return batch_shapes.in_common([self._of(np.arange(min(self.batch_size, self.examples)))])

    def indices(self, epoch, first):
        """The indices of the examples of each batch, from batch `first` on: int64 arrays."""
        order = np.arange(self.examples)
        if self.shuffle:
            order = permutation(self.examples, self.seed, epoch)
        for i in range(first, self.num_batches):
            yield order[i * self.batch_size : (i + 1) * self.batch_size]

    def batches(self, epoch, first):
        """The batches of an epoch, from batch `first` on."""
        return (self._of(chosen) for chosen in self.indices(epoch, first))

    def record(self):
        """What identifies the data set, as JSON."""
        chosen = np.unique(np.linspace(0, self.examples - 1, SAMPLED).astype("int64"))
        return {
            "examples": self.examples,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "drop_remainder": self.drop_remainder,
            "digest of some examples": digest(self._of(chosen)),
        }

    def digest_of(self, epoch):
        """None: `record` already identifies the order of every epoch."""
        return None

    def _of(self, chosen):
        return keras.tree.map_structure(lambda a: as_floatx(a[chosen]), self.arrays)


class Read:
    """Batches that can only be read in sequence; those before `first` are discarded.

    Args:
        batches_of: function of an epoch that returns an iterable of batches.
        num_batches: batches of every epoch.
        what: the user's object, for messages.
        one_order: whether the digest of the first epoch's first batch stands for every epoch.
    """

    whole = False
    _declared = None  # the `element_spec` of the data set that was read last, if one was

    def __init__(self, batches_of, num_batches, what, one_order=False):
        check_count("steps", num_batches, of="Resume.data", what="a number of batches an epoch")
        self.num_batches, self.one_order = int(num_batches), one_order
        self._batches_of, self._seen = batches_of, (None, None)
        begin = self._begin(0, batch_shapes.COMPARED)
        self._digest = digest(begin[0])
        require(
            self._digest == digest(self._first(0)),
            f"The data of Resume.data ({type(what).__name__}) are not the same when they are read "
            "again, so a run that goes on would train on others: take what is random out of them, "
            f"or {_OTHERWISE}.",
        )
        self._spec = repr(keras.tree.map_structure(lambda a: f"{a.dtype} {a.shape[1:]}", begin[0]))
        self.shapes = batch_shapes.in_common(begin, self._declared)

    def batches(self, epoch, first):
        """The batches of an epoch, from batch `first` on."""
        whole = self._batches_of(epoch)
        self._declared = whole.element_spec if _is_dataset(whole) else None
        for i, batch in enumerate(itertools.islice(whole, self.num_batches)):
            if i >= first or i == 0:
                batch = _arrays_of(batch)
            if i == 0 and not self.one_order:
                self._seen = epoch, digest(batch)
            if i >= first:
                yield batch

    def record(self):
        """What identifies the data set, as JSON."""
        return {"batches an epoch": self.num_batches, "shapes of an example": self._spec}

    def digest_of(self, epoch):
        """A digest of an epoch's first batch, read again unless that epoch was the last read."""
        if self.one_order:
            return self._digest
        seen, found = self._seen
        return found if seen == epoch else digest(self._first(epoch))

    def _first(self, epoch):
        return self._begin(epoch, 1)[0]

    def _begin(self, epoch, count):
        """The first batches of an epoch, so many at most."""
        found = list(itertools.islice(self.batches(epoch, 0), count))
        require(found, f"The data of Resume.data have no batch in epoch {epoch}.")
        return found


class Dataset(Read):
    """A `tf.data.Dataset` whose batches are the same every epoch.

    Args:
        dataset: the data set.
        steps: batches per epoch; None for all.
    """

    def __init__(self, dataset, steps):
        import tensorflow as tf

        found = int(dataset.cardinality())
        known = found >= 0
        require(
            known or steps is not None,
            "Resume.data needs to know how many batches an epoch has, and this tf.data.Dataset "
            "does not say: give steps=NUMBER of them, or "
            "data.apply(tf.data.experimental.assert_cardinality(NUMBER)).",
        )
        require(
            steps is None or not known or steps <= found,
            f"`steps` of Resume.data must be at most the {found} batches of the data. Received: "
            f"steps={steps}",
        )
        options = tf.data.Options()
        options.deterministic = True  # else parallel maps pass on whatever is ready first
        self.dataset = dataset.with_options(options)
        super().__init__(lambda epoch: self.dataset, steps or found, dataset, one_order=True)


class Indexed(Read):
    """A `keras.utils.PyDataset`, whose batches are ordered by seed and epoch.

    Args:
        dataset: the data set.
        seed: of the order.
        shuffle: whether each epoch has an order of its own.
    """

    def __init__(self, dataset, seed, shuffle):
        base = keras.utils.PyDataset
        for name in ("on_epoch_begin", "on_epoch_end"):
            require(
                getattr(type(dataset), name) is getattr(base, name),
                f"{type(dataset).__name__}.{name} may change the data between epochs, which a run "
                f"that goes on cannot repeat: leave it out (Resume.data shuffles batches), or "
                f"{_OTHERWISE}.",
            )
        require(
            dataset.num_batches is not None,
            f"Resume.data needs to know how many batches an epoch has, and {type(dataset).__name__}"
            ".num_batches is None.",
        )
        self._dataset, self._seed, self._shuffle = dataset, int(seed), shuffle
        super().__init__(None, dataset.num_batches, dataset, one_order=True)

    def batches(self, epoch, first):
        """The batches of an epoch, from batch `first` on; those before it are not made."""
        order = range(self.num_batches)
        if self._shuffle:
            order = permutation(self.num_batches, self._seed, epoch)
        return (_arrays_of(self._dataset[int(i)]) for i in order[first:])

    def record(self):
        """What identifies the data set, as JSON."""
        return {**super().record(), "seed": self._seed, "shuffle": self._shuffle}


def source_of(x, y, sample_weight, batch_size, seed, shuffle, drop_remainder, steps):
    """The source for what `Resume.data` was given, with its arguments and errors."""
    if _is_arrays(x):
        require(
            steps is None,
            "`steps` of Resume.data is for data that do not say how many batches they have; "
            f"arrays do. Received: steps={steps}",
        )
        given = [a for a in (x, y, sample_weight) if a is not None]
        require(
            y is not None or sample_weight is None,
            "Resume.data got a sample_weight and no y: give both, or neither.",
        )
        size = 32 if batch_size is None else batch_size
        return Arrays(tuple(given), size, seed, shuffle, drop_remainder)
    made = {"y": y, "sample_weight": sample_weight, "batch_size": batch_size}
    made["drop_remainder"] = drop_remainder or None
    for name, value in made.items():
        require(
            value is None,
            f"`{name}` of Resume.data is for arrays: a {type(x).__name__} gives batches that have "
            f"it already. Received: {name}={shown(value, 80)}",
        )
    if isinstance(x, keras.utils.PyDataset):
        require(steps is None, "`steps` of Resume.data does not go with a PyDataset, which has it.")
        return Indexed(x, seed, shuffle)
    if _is_dataset(x):
        return Dataset(x, steps)
    require(
        callable(x),
        "Resume.data takes arrays, a tf.data.Dataset, a keras.utils.PyDataset, or a function of "
        "the epoch that returns an iterable of batches. What can be read once only cannot be read "
        f"again by a run that goes on. Received: {type(x).__name__}",
    )
    if steps is None:
        steps = _count(x(0))
    return Read(x, steps, x)


def as_floatx(array):
    """Casts an array of floats to Keras' float type, as `fit` does; leaves any other as it is."""
    floats = np.issubdtype(array.dtype, np.floating)
    return array.astype(keras.config.floatx()) if floats else array


def _count(batches):
    """How many batches an iterable has."""
    if _is_dataset(batches):
        found = int(batches.cardinality())
        if found >= 0:
            return found
    elif hasattr(batches, "__len__"):
        return len(batches)
    raise BadInput(
        "Resume.data needs to know how many batches an epoch has, and what the function returned "
        f"does not say: give steps=NUMBER of them. Received: {type(batches).__name__}"
    )


def _is_arrays(x):
    leaves = keras.tree.flatten(x)
    return bool(leaves) and all(hasattr(a, "shape") and hasattr(a, "__array__") for a in leaves)


def _is_dataset(x):
    """Whether x is a `tf.data.Dataset`, found out without importing TensorFlow."""
    return any(
        kind.__name__ == "DatasetV2" and kind.__module__.startswith("tensorflow.")
        for kind in type(x).__mro__
    )


def _arrays_of(batch):
    """A batch as (x,), (x, y) or (x, y, sample_weight) of NumPy arrays."""
    batch = batch_shapes.as_tuple(batch)
    return keras.tree.map_structure(lambda leaf: as_floatx(np.asarray(leaf)), batch)
