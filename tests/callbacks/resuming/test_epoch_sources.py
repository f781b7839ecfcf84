"""The batches of an epoch from any batch on, for every kind of data."""

import keras
import numpy as np
import pytest

from tf_bdecay.callbacks.resuming.epoch_sources import SAMPLED, digest, source_of
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="data sets are TensorFlow's"
)
X, Y = np.arange(20.0).reshape(10, 2), np.arange(10)


def source(x, y=None, sample_weight=None, **arguments):
    own = {"batch_size": None, "seed": 0, "shuffle": True, "drop_remainder": False, "steps": None}
    return source_of(x, y, sample_weight, **{**own, **arguments})


def read(found, epoch=0, first=0):
    return [keras.tree.map_structure(np.asarray, b) for b in found.batches(epoch, first)]


def digests(batches):
    return [digest(batch) for batch in batches]


class Pairs(keras.utils.PyDataset):
    """Batches of two."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return X[2 * i : 2 * i + 2], Y[2 * i : 2 * i + 2]


class Shuffles(Pairs):
    def on_epoch_end(self):
        pass


class Random(Pairs):
    def __getitem__(self, i):
        return np.random.default_rng().normal(size=(2, 3)), Y[:2]


def by_epoch(epoch):
    order = np.random.default_rng(epoch).permutation(10)
    return [(X[order[i : i + 2]], Y[order[i : i + 2]]) for i in range(0, 10, 2)]


KINDS = {
    "arrays": lambda: source(X, Y, batch_size=3),
    "whole batches": lambda: source(X, Y, batch_size=3, drop_remainder=True),
    "PyDataset": lambda: source(Pairs()),
    "function": lambda: source(by_epoch),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_start_leaves_out_the_batches_before(kind):
    found = KINDS[kind]()
    for epoch in (0, 3):
        whole = digests(read(found, epoch))
        assert len(whole) == found.num_batches
        for first in range(found.num_batches + 1):
            assert digests(read(found, epoch, first)) == whole[first:]
    assert digests(read(KINDS[kind](), 3)) == digests(read(found, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_every_epoch_has_every_example_and_an_order_of_its_own(kind):
    found = KINDS[kind]()
    orders = []
    for epoch in (0, 1):
        batches = read(found, epoch)
        labels = np.concatenate([y for _, y in batches])
        assert sorted(labels) == [*range(10)] or kind == "whole batches"
        np.testing.assert_array_equal(np.concatenate([x for x, _ in batches])[:, 0], 2 * labels)
        orders.append(labels.tolist())
    assert orders[0] != orders[1]


def test_arrays_and_batches_keep_their_own_order_on_request():
    for found in (source(X, Y, batch_size=4, shuffle=False), source(Pairs(), shuffle=False)):
        assert np.concatenate([y for _, y in read(found, 5)]).tolist() == [*range(10)]


def test_structures_weights_and_keras_float_type():
    x = {"a": X, "b": [X.astype("float16"), Y]}
    ((x, y, w),) = read(source(x, Y, np.ones(10), batch_size=16, shuffle=False))
    assert x["a"].dtype == x["b"][0].dtype == w.dtype == "float32" and y.dtype == Y.dtype
    np.testing.assert_array_equal(x["b"][1], Y)
    (only,) = read(source(X, batch_size=16))[0]
    assert only.shape == (10, 2)
    assert source(np.zeros((100, 1))).num_batches == 4  # 32 by default


def test_the_record_tells_other_data():
    records = [
        found.record()
        for found in (
            source(X, Y),
            source(X + 1, Y),
            source(X, Y[::-1]),
            source(X, Y, batch_size=5),
            source(X, Y, seed=1),
            source(X, Y, shuffle=False),
            source(X, Y, drop_remainder=True, batch_size=3),
            source(X[:9], Y[:9]),
            source(Pairs()),
            source(Pairs(), seed=1),
            source(by_epoch),
        )
    ]
    assert len({repr(record) for record in records}) == len(records)
    assert source(X.copy(), Y.copy()).record() == records[0]
    large = np.zeros(10 * SAMPLED)
    assert source(large).record() != source(large + 1).record()


def test_the_digest_of_an_epoch_s_first_batch():
    found = source(by_epoch)
    read(found, 4, 2)  # it is seen on the way
    assert found.digest_of(4) == digests(read(source(by_epoch), 4))[0] != found.digest_of(3)
    assert source(X, Y).digest_of(3) is None
    assert source(Pairs()).digest_of(0) == source(Pairs()).digest_of(9)
    words = np.array(["a", "bc"], object)
    assert digest((words, None)) != digest((np.array(["ab", "c"], object), None))


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: source(X, Y[:9]), r"must be of one length, by examples. Received: lengths \[9, 1"),
        (lambda: source(X, None, Y), "got a sample_weight and no y"),
        (lambda: source(X, Y, batch_size=0), "`batch_size` of Resume.data"),
        (lambda: source(X, Y, batch_size=16, drop_remainder=True), "has no batch: 10 examples"),
        (lambda: source(X[:0], Y[:0]), "has no batch: 0 examples"),
        (lambda: source(X, Y, steps=3), "`steps` of Resume.data is for data that do not say"),
        (lambda: source(Pairs(), Y), "`y` of Resume.data is for arrays: a Pairs gives batches"),
        (lambda: source(Pairs(), batch_size=3), "`batch_size` of Resume.data is for arrays"),
        (lambda: source(Pairs(), steps=3), "does not go with a PyDataset"),
        (lambda: source(by_epoch, drop_remainder=True), "`drop_remainder` of Resume.data is for"),
        (lambda: source(iter([X])), "cannot be read again .* Received: list_iterator"),
        (lambda: source(None), "Received: NoneType"),
        (lambda: source([1, 2]), "Received: list"),
        (lambda: source(Shuffles()), "Shuffles.on_epoch_end may change the data between epochs"),
        (lambda: source(Random()), r"Resume.data \(Random\) are not the same when they are read"),
        (lambda: source(lambda epoch: iter(by_epoch(0))), "give steps=NUMBER of them"),
        (lambda: source(lambda epoch: []), "`steps` of Resume.data"),
        (lambda: source(lambda epoch: iter([]), steps=2), "have no batch in epoch 0"),
    ],
)
def test_what_cannot_be_repeated_is_refused(make, says):
    with pytest.raises(BadInput, match=says):
        make()


@needs_tensorflow
def test_data_sets():
    import tensorflow as tf

    def drawn():
        return np.random.default_rng().normal()

    single = tf.data.Dataset.from_tensor_slices((X, Y))
    plain = single.batch(4)
    found = source(plain)
    assert found.num_batches == 3 and [y.tolist() for _, y in read(found, 7, 1)] == [
        [4, 5, 6, 7], [8, 9],
    ]  # fmt: skip
    assert source(plain.repeat(), steps=5).num_batches == 5
    assert len(read(source(plain.repeat(), steps=5), 0, 1)) == 4
    unknown = plain.filter(lambda x, y: True)
    assert source(unknown, steps=2).num_batches == 2
    for made, says in (
        (lambda: source(unknown), "does not say: give steps=NUMBER"),
        (lambda: source(plain, steps=9), "must be at most the 3 batches"),
        (lambda: source(plain, batch_size=2), "`batch_size` of Resume.data is for arrays"),
        (lambda: source(single.shuffle(10).batch(4)), "not the same when they are read"),
        (
            lambda: source(plain.map(lambda x, y: (x, tf.numpy_function(drawn, [], tf.float64)))),
            "not the same when they are read",
        ),
    ):
        with pytest.raises(BadInput, match=says):
            made()
    by_seed = source(lambda epoch: single.shuffle(10, seed=epoch).batch(4))
    assert by_seed.num_batches == 3
    assert digests(read(by_seed, 2)) == digests(read(by_seed, 2)) != digests(read(by_seed, 3))
