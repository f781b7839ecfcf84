"""The rendezvous of workers: all arrive with the same settings, or each says what is wrong."""

import concurrent.futures
import socket
import time

from tests.data.sets import image_set_of
from tf_bdecay.distribution import cluster, workers
from tf_bdecay.errors import BadInput
from tf_bdecay.launching import processes


def outcomes(facts, seconds=20.0, count=None):
    """What each of some workers gets from the rendezvous, None for no error."""
    addresses = tuple(processes.free_addresses(count or len(facts)))

    def one(index):
        made = cluster.Cluster(addresses, index)
        try:
            workers.rendezvous(made, made.bind(), facts[index], seconds)
        except (BadInput, workers.WorkerLost) as error:
            return error
        return None

    with concurrent.futures.ThreadPoolExecutor(len(facts)) as pool:
        return list(pool.map(one, facts)), addresses


def test_workers_that_are_the_same_go_on():
    assert outcomes({i: {"config.seed": "0"} for i in range(3)})[0] == [None] * 3


def test_the_first_difference_is_named_to_all():
    facts = {0: {"config.seed": "0"}, 1: {"config.seed": "0"}, 2: {"config.seed": "1"}}
    found, addresses = outcomes(facts)
    assert {type(error) for error in found} == {BadInput}
    (sentence,) = {str(error) for error in found}
    assert sentence.startswith(f"Worker 2 ({addresses[2]}) differs from worker 0 ({addresses[0]})")
    assert "config.seed is 1 there and 0 here" in sentence


def test_who_does_not_come_is_named():
    found, addresses = outcomes({0: {}, 2: {}}, seconds=3, count=3)
    for error in found:
        assert isinstance(error, workers.WorkerLost)
        assert str(error).startswith(f"worker 1 ({addresses[1]}) did not come within 3 s")
    (error,), addresses = outcomes({1: {}}, seconds=0.5, count=2)
    assert f"worker 0 ({addresses[0]}) did not come" in str(error)


def connected(address, seconds=20.0):
    """A connection to an address that may not listen yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(address)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_stranger_on_the_port_does_no_harm():
    addresses = tuple(processes.free_addresses(2))
    leader, other = (cluster.Cluster(addresses, i) for i in range(2))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        leading = pool.submit(workers.rendezvous, leader, leader.bind(), {}, 20)
        with connected(cluster.split(addresses[0])) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            workers.rendezvous(other, other.bind(), {}, 20)
        leading.result()


def test_other_data_is_a_difference():
    images = image_set_of(40, 20)
    mine = images.record()
    assert mine == images.record()
    images.train.labels[3] = (images.train.labels[3] + 1) % images.num_classes
    both = cluster.Cluster(("a:1", "b:2"), 0)
    said = workers.difference(both, {0: mine, 1: images.record()})
    assert "hash of the train data" in said
