"""What `fit` reads from a source, from a position on."""

import warnings

import keras
import numpy as np
import pytest

from tests.callbacks.resuming.test_epoch_sources import KINDS, digests, read, source
from tf_bdecay.callbacks.resuming.epoch_feeds import Cursor, RestOfEpoch, feed

pytestmark = pytest.mark.any_backend


def fed(data):
    """What an epoch of `fit` would read."""
    if isinstance(data, keras.utils.PyDataset):
        data.on_epoch_begin()
        return [data[i] for i in np.random.default_rng(0).permutation(data.num_batches)]
    return [keras.tree.map_structure(np.asarray, batch) for batch in data]


def test_a_position_hands_out_the_start_once():
    position = Cursor()
    assert position.take() == (0, 0)  # outside of `fit`
    position.begin(3, 2)
    assert not position.started and position.take() == (3, 2)
    assert position.started and position.take() == (3, 0)
    position.end()
    assert position.take() == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_epochs_and_those_outside_of_fit(kind):
    found, position = KINDS[kind](), Cursor()
    data = feed(found, position)
    assert digests(fed(data)) == digests(read(found))
    for epoch in (2, 0):
        position.begin(epoch, 0)
        assert digests(fed(data)) == digests(read(found, epoch))
        assert position.started


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_of_an_epoch(kind):
    found, position = KINDS[kind](), Cursor()
    data = feed(found, position)
    position.begin(2, 2)
    left = found.num_batches - 2
    if keras.backend.backend() == "tensorflow":
        assert int(data.cardinality()) == found.num_batches
        batches = [keras.tree.map_structure(np.asarray, b) for b in data.take(left)]
    else:
        assert data.num_batches == left
        batches = fed(data)
    assert digests(batches) == digests(read(found, 2, 2))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="data sets are TensorFlow's")
def test_a_data_set_of_the_user_s_own():
    import tensorflow as tf

    plain = tf.data.Dataset.from_tensor_slices((np.eye(6, dtype="float32"), np.arange(6))).batch(2)
    for found in (source(plain), source(plain.repeat(), steps=3)):
        position = Cursor()
        data = feed(found, position)
        assert digests(fed(data)) == digests(read(found))
        position.begin(1, 1)
        assert [y.numpy().tolist() for _, y in data.take(2)] == [[2, 3], [4, 5]]
        assert data.element_spec == plain.element_spec


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="shapes are TensorFlow's")
def test_batches_that_are_all_of_one_size_have_it_in_their_shape():
    for arguments, size in (({"batch_size": 5}, 5), ({"batch_size": 4}, None)):
        found = source(np.zeros((10, 3)), **arguments)
        assert feed(found, Cursor()).element_spec[0].shape.as_list() == [size, 3]
    found = source(np.zeros((10, 3)), batch_size=4, drop_remainder=True)
    assert feed(found, Cursor()).element_spec[0].shape.as_list() == [4, 3]


class Model:
    stop_training = False


def test_an_epoch_ends_after_what_is_left():
    model = Model()
    rest = RestOfEpoch(model)
    rest.last_batch()
    stops = keras.backend.backend() == "tensorflow"
    assert bool(model.stop_training) == stops
    with warnings.catch_warnings(record=True) as said:
        if stops:  # else filters of one's own would hide whether it filters
            warnings.simplefilter("always")
        warnings.warn("Your input ran out of data; interrupting training.", stacklevel=1)
    assert bool(said) == stops
    rest.end()
    assert model.stop_training is False
    with pytest.warns(UserWarning, match="ran out"):
        warnings.warn("Your input ran out of data; interrupting training.", stacklevel=1)


def test_who_stops_training_for_good_is_heard():
    model = Model()
    rest = RestOfEpoch(model)
    model.stop_training = True
    rest.last_batch()
    rest.end()
    assert model.stop_training is True
