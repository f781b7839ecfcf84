"""Feeds a source's batches to `fit`, starting where the run is.

The feed is a `tf.data.Dataset` under TensorFlow and a `keras.utils.PyDataset` under other backends.
Both look at a `Cursor` when `fit` begins to read an epoch.
"""

import warnings

import keras


class Cursor:
    """The epoch that `fit` reads next, and the batch to start from.

    Attributes:
        started: whether the epoch that `begin` announced is being read.
    """

    def __init__(self):
        self.epoch, self.first, self.started = None, 0, False

    def begin(self, epoch, first):
        """Announces an epoch, which starts at batch `first`."""
        self.epoch, self.first, self.started = epoch, first, False

    def end(self):
        """Announces that no more epochs follow."""
        self.begin(None, 0)
        self.started = True

    def take(self):
        """Epoch and first batch for a new reader; a second reader of the same epoch starts at 0.

        Outside of `fit` the epoch is the first.
        """
        first, self.first, self.started = self.first, 0, True
        return self.epoch or 0, first


def feed(source, position):
    """The data for `fit`.

    Args:
        source: from `epoch_sources.source_of`.
        position: a `Cursor`.
    """
    if keras.backend.backend() == "tensorflow":
        return _tf_dataset(source, position)
    return Batches(source, position)


class RestOfEpoch:
    """Ends a partly finished epoch early, though `fit` expects all its batches.

    Under TensorFlow it sets `model.stop_training` after the last batch, and resets it when the
    epoch has ended. Letting the data run out would not do: a step that finds no data may still
    count as an update. Under other backends the data do run out, and Keras' needless warning is
    suppressed.

    Args:
        model: the model that is being fitted.
    """

    def __init__(self, model):
        self._model, self._stops = model, keras.backend.backend() == "tensorflow"
        self._quiet = warnings.catch_warnings()
        if not self._stops:
            self._quiet.__enter__()
            warnings.filterwarnings("ignore", message="Your input ran out of data")

    def last_batch(self):
        """To be called after the epoch's last batch."""
        if self._stops and not self._model.stop_training:
            self._model.stop_training = self  # no other callback sets this value

    def end(self):
        """To be called when the epoch has ended."""
        if not self._stops:
            self._quiet.__exit__(None, None, None)
        elif self._model.stop_training is self:
            self._model.stop_training = False


class Batches(keras.utils.PyDataset):
    """A source as a `PyDataset` that keeps its own order, even if `fit` shuffles indices.

    Args:
        source, position: as in `feed`.
    """

    def __init__(self, source, position):
        super().__init__()
        self._source, self._position, self._stream = source, position, None

    @property
    def num_batches(self):
        """The number of batches that are left of the epoch."""
        return self._source.num_batches - self._position.first

    def on_epoch_begin(self):
        """Makes the next batch the first of a new reading."""
        self._stream = None

    def __getitem__(self, index):
        """The next batch."""
        del index
        if self._stream is None or not self._position.started:
            self._stream = self._source.batches(*self._position.take())
        return next(self._stream)


def _tf_dataset(source, position):
    import tensorflow as tf

    if source.whole:
        found = _of_arrays(source, position)
    elif hasattr(source, "dataset"):
        found = _of_dataset(source, position)
    else:
        found = _of_python(source, position)
    # The rest of an epoch has fewer, but is never read to its end, where this is checked.
    return found.apply(tf.data.experimental.assert_cardinality(source.num_batches))


def _of_arrays(source, position):
    """Takes indices from Python, and gathers the examples of several batches in parallel."""
    import tensorflow as tf

    even = source.drop_remainder or source.examples % source.batch_size == 0
    size = source.batch_size if even else None
    indices = tf.data.Dataset.from_generator(
        lambda: source.indices(*position.take()),
        output_signature=tf.TensorSpec([size], tf.int64),
    )
    arrays = keras.tree.map_structure(tf.convert_to_tensor, source.arrays)
    whole = tf.data.Dataset.from_tensors(arrays).repeat()

    def gathered(chosen, arrays):
        return keras.tree.map_structure(lambda a: _as_floatx(tf.gather(a, chosen)), arrays)

    pairs = tf.data.Dataset.zip((indices, whole))
    return pairs.map(gathered, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _of_dataset(source, position):
    """The user's own data set; skipped batches are read and discarded."""
    import tensorflow as tf

    firsts = tf.data.Dataset.from_generator(
        lambda: iter([position.take()[1]]), output_signature=tf.TensorSpec([], tf.int64)
    )
    left = source.num_batches
    return firsts.flat_map(lambda first: source.dataset.skip(first).take(left - first))


def _of_python(source, position):
    import tensorflow as tf

    signature = keras.tree.map_structure(
        lambda a: tf.TensorSpec([None, *a.shape[1:]], a.dtype), source.shapes
    )
    batches = tf.data.Dataset.from_generator(
        lambda: source.batches(*position.take()), output_signature=signature
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def _as_floatx(tensor):
    import tensorflow as tf

    return tf.cast(tensor, keras.config.floatx()) if tensor.dtype.is_floating else tensor
