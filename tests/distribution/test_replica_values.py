"""A variable's value on one device; for several replicas and workers see the tests of resuming."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tf_bdecay.distribution import replica_values

pytestmark = pytest.mark.any_backend


def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])


def test_values_are_copies_and_come_back():
    made = model()
    (kernel,) = made.variables
    before = replica_values.values_of(made, kernel)
    kernel.assign(kernel + 1)
    (after,) = replica_values.values_of(made, kernel)
    np.testing.assert_allclose(after, before[0] + 1, rtol=1e-6)
    replica_values.assign(made, kernel, np.stack(before))
    np.testing.assert_array_equal(replica_values.values_of(made, kernel), before)


def test_fewer_replicas_take_the_sum():
    made = model()
    (kernel,) = made.variables
    replica_values.assign(made, kernel, np.arange(8.0).reshape(2, 2, 2))
    np.testing.assert_array_equal(kernel.numpy(), [[4, 6], [8, 10]])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="workers are TensorFlow's")
def test_a_worker_takes_the_values_of_its_own_replicas(monkeypatch):
    from tf_bdecay.distribution import sharding, strategies

    taken = {}
    copies = [SimpleNamespace(assign=lambda v, i=i: taken.update({i: v.tolist()})) for i in (0, 1)]
    monkeypatch.setattr(strategies, "is_multi_worker", lambda strategy: True)
    monkeypatch.setattr(strategies, "copies", lambda strategy, variable: copies)
    monkeypatch.setattr(sharding, "own_replicas", lambda strategy: range(2, 4))
    of_workers = SimpleNamespace(distribute_strategy=SimpleNamespace(num_replicas_in_sync=4))
    replica_values.assign(of_workers, None, np.arange(4.0)[:, None])
    assert taken == {0: [2.0], 1: [3.0]}
