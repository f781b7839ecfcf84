"""The workers of a run are read from TF_CONFIG or from flags."""

import errno
import json
import socket

import pytest

from tf_bdecay.distribution import cluster
from tf_bdecay.errors import BadInput
from tf_bdecay.launching import processes


def config(index=0, kind="worker", **jobs):
    jobs = jobs or {"worker": ["a:1", "b:2"]}
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


def test_a_cluster_from_the_environment_and_from_flags():
    made = cluster.from_environment(config(1))
    assert made == cluster.Cluster(("a:1", "b:2"), 1) == cluster.from_flags("a:1, b:2", 1)
    assert not made.leads and made.name(1) == "worker 1 (b:2)"
    chief = config(1, chief=["c:3"], worker=["a:1", "b:2"])
    assert cluster.from_environment(chief) == cluster.Cluster(("c:3", "a:1", "b:2"), 2)
    assert cluster.from_environment(config(0, "chief", chief=["c:3"], worker=["a:1"])).leads


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", "TF_CONFIG is not JSON"),
        ("[]", "TF_CONFIG has no cluster"),
        ('{"task": {}}', "TF_CONFIG has no cluster"),
        (config(2), "index is out of range: .* from 0 to 1, .* Received: 2"),
        (config(-1), "index is out of range"),
        (config(True), "index is out of range"),
        (config(0, "ps"), "type must be 'worker'"),
        (config(worker=["a:1"], ps=["b:1"]), "the job 'ps'"),
        (config(worker=["a"]), "host:port for each worker.*'a'"),
        (config(worker=["a:0"]), "port from 1 to 65535"),
        (config(worker="a:1"), "must be a list"),
        (config(worker=["a:1", "a:1"]), "names the address a:1 twice"),
    ],
)
def test_a_cluster_that_cannot_be_is_a_sentence(text, said):
    with pytest.raises(BadInput, match=said):
        cluster.from_environment(text)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("multi_worker", "a:1,b:2"), "needs --worker_index=0 to 1"),
        (("multi_worker", "", 1), "--worker_index=1 needs --workers"),
        (("multi_worker", "a:1,b:2", 2), "--worker_index must be from 0 to 1"),
        (("mirrored", "a:1,b:2", 0), "needs --strategy=multi_worker"),
        (("multi_worker",), "needs to know its workers"),
    ],
)
def test_flags_that_do_not_go_together(arguments, said, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(BadInput, match=said):
        cluster.find(*arguments)
    assert cluster.find("auto") is None
    monkeypatch.setenv("TF_CONFIG", config())
    assert cluster.find("auto").leads
    with pytest.raises(BadInput, match="give one of them"):
        cluster.find("multi_worker", "a:1", 0)


def test_a_port_that_is_taken_is_named():
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BadInput, match=f"worker 0 .*:{port}.* is taken"):
            cluster.Cluster((f"127.0.0.1:{port}",), 0).bind()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_bound_port_is_reached_by_ipv4_and_ipv6(host):
    if host == "[::1]" and not _has_ipv6():
        pytest.skip("no IPv6 here")
    (address,) = processes.free_addresses(1)
    address = f"{host}:{cluster.split(address)[1]}"
    with cluster.Cluster((address,), 0).bind() as bound:
        bound.listen()
        socket.create_connection(cluster.split(address), timeout=5).close()


def test_an_ipv6_address_where_there_is_none_is_refused(monkeypatch):
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with pytest.raises(BadInput, match=r"worker 0 \(\[::1\]:5\) has an IPv6 address, which this"):
        cluster.Cluster(("[::1]:5",), 0).bind()


def _has_ipv6():
    if not socket.has_dualstack_ipv6():
        return False
    with socket.socket(socket.AF_INET6) as tried:
        return tried.connect_ex(("::1", 9)) in (0, errno.ECONNREFUSED)
