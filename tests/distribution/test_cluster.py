"""The workers of a run are read from TF_CONFIG or from flags."""

import json
import socket

import pytest

from tf_bdecay.distribution import cluster
from tf_bdecay.errors import BadInput


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
