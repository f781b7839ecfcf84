"""Many workers: who they are, how they meet, and what they train is what one process trains."""

import concurrent.futures
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.data.sets import image_set_of
from tests.training.test_accumulation import assert_equal
from tf_bdecay import data
from tf_bdecay.distribution import cluster, sharding, signals, workers
from tf_bdecay.errors import BadInput
from tools.launching import processes

SCRIPT = pathlib.Path(__file__).with_name("worker_script.py")
ROOT = SCRIPT.parents[2]
SECONDS = 300


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


def met(facts, seconds=20.0, count=None):
    """What each of some workers gets from the meeting, None for no error."""
    addresses = tuple(processes.free_addresses(count or len(facts)))

    def one(index):
        made = cluster.Cluster(addresses, index)
        try:
            workers.meet(made, made.bind(), facts[index], seconds)
        except (BadInput, workers.Lost) as error:
            return error
        return None

    with concurrent.futures.ThreadPoolExecutor(len(facts)) as pool:
        return list(pool.map(one, facts)), addresses


@pytest.fixture(autouse=True)
def not_a_worker(monkeypatch):
    monkeypatch.setattr(workers, "met", False)


def test_workers_that_are_the_same_meet():
    assert met({i: {"config.seed": "0"} for i in range(3)})[0] == [None] * 3


def test_the_first_difference_is_named_to_all():
    facts = {0: {"config.seed": "0"}, 1: {"config.seed": "0"}, 2: {"config.seed": "1"}}
    found, addresses = met(facts)
    assert {type(error) for error in found} == {BadInput}
    (sentence,) = {str(error) for error in found}
    assert sentence.startswith(f"Worker 2 ({addresses[2]}) differs from worker 0 ({addresses[0]})")
    assert "config.seed is 1 there and 0 here" in sentence


def test_who_does_not_come_is_named():
    found, addresses = met({0: {}, 2: {}}, seconds=1.5, count=3)
    for error in found:
        assert isinstance(error, workers.Lost)
        assert str(error).startswith(f"worker 1 ({addresses[1]}) did not come within 1.5 s")
    (error,), addresses = met({1: {}}, seconds=0.5, count=2)
    assert f"worker 0 ({addresses[0]}) did not come" in str(error)


def test_a_stranger_on_the_port_does_no_harm():
    addresses = tuple(processes.free_addresses(2))
    leader, other = (cluster.Cluster(addresses, i) for i in range(2))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        leading = pool.submit(workers.meet, leader, leader.bind(), {}, 20)
        time.sleep(0.3)
        with socket.create_connection(cluster.split(addresses[0])) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            workers.meet(other, other.bind(), {}, 20)
        leading.result()


def test_facts_tell_data_apart():
    images = image_set_of(40, 20)
    mine = workers.facts({"seed": 0}, images)
    assert mine == workers.facts({"seed": 0}, images)
    images.train.labels[3] = (images.train.labels[3] + 1) % images.num_classes
    said = workers.difference(
        cluster.Cluster(("a:1", "b:2"), 0), {0: mine, 1: workers.facts({"seed": 0}, images)}
    )
    assert "hash of the train data" in said


@pytest.mark.parametrize("count", [2, 3])
def test_parts_of_the_batches_make_the_whole(count):
    images = image_set_of(70, 25)
    makes = {
        "train": lambda part: data.training_batches(images, 24, seed=3, part=part).take(5),
        "test": lambda part: data.evaluation_batches(images, "test", 12, part=part),
    }
    for make in makes.values():
        whole = list(make(None).as_numpy_iterator())
        parts = [list(make((i, count)).as_numpy_iterator()) for i in range(count)]
        for update, (x, y) in enumerate(whole):
            pieces = [part[update] for part in parts]
            np.testing.assert_array_equal(np.concatenate([p[0] for p in pieces]), x)
            np.testing.assert_array_equal(np.concatenate([p[1] for p in pieces]), y)


def test_workers_agree_on_signals_and_saves():
    own = [signals.Request(), signals.Request()]
    both = [sharding.Agreement(request) for request in own]

    def step():
        votes = np.mean([agreement.votes() for agreement in both], axis=0)
        for agreement in both:
            agreement.count(votes)

    step()
    assert [a.number for a in both] == [None, None]
    assert [a.save(i == 1) for i, a in enumerate(both)] == [False, False]  # the clock of one
    step()
    assert [a.save(i == 1) for i, a in enumerate(both)] == [True, True]
    step()
    assert [a.save(False) for a in both] == [False, False]  # once is enough
    own[1].number = signals.SIGNALS[0]
    step()
    assert [a.number for a in both] == [signals.SIGNALS[0]] * 2


def started(strategy, folder, count=1, **arguments):
    """Processes of the script, with the files that their arrays go to."""
    addresses = processes.free_addresses(count)
    found = []
    for i in range(count):
        out = folder / f"{strategy}-{len(list(folder.iterdir()))}-{i}.npz"
        out.touch()
        values = {"strategy": strategy, "out": str(out), **arguments}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
        if strategy == "multi_worker":
            environment["TF_CONFIG"] = json.dumps(cluster.config(addresses, i))
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps(values)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        found.append((process, out))
    return found


def arrays(run):
    """The arrays of a process, as `assert_equal` takes them, and all of them."""
    process, out = run
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said[-3000:]
    with np.load(out) as file:
        flat = {name: file[name] for name in file.files}
    return flat


def assert_all_equal(one, many, tolerance):
    """Weights, moments, statistics, decisions, losses, metrics, evaluation; copies bitwise."""

    def by_kind(flat):
        found = {}
        for name in sorted(flat):
            found.setdefault(name.split("/")[0], []).append(flat[name])
        return {**found, "on": found["on"][0], "ratios": found["ratios"][0]}

    for flat in many:
        assert_equal(by_kind(one), by_kind(flat), tolerance)
        for name, value in flat.items():
            assert value.tobytes() == many[0][name].tobytes(), name
        if "evaluated" in flat:
            np.testing.assert_allclose(flat["evaluated"], one["evaluated"], rtol=1e-5)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two workers that train 20 updates, and then on and on; and one process of the 20 updates."""
    folder = tmp_path_factory.mktemp("two")
    runs = started("multi_worker", folder, 2, endless=True)
    try:
        for process, _ in runs:
            said = []
            while "training\n" not in said:
                line = process.stdout.readline()
                assert line, "".join(said)[-3000:]
                said.append(line)
        yield arrays(started("none", folder)[0]), runs
    finally:
        for process, _ in runs:
            process.kill()
            process.wait()


def test_two_workers_train_what_one_process_trains(two):
    one, runs = two
    many = [dict(np.load(out)) for _, out in runs]
    assert_all_equal(one, many, 1e-4)


def test_who_loses_the_leader_ends_and_names_it(two):
    _check_loss(two[1], 0)


@pytest.mark.slow
def test_who_loses_another_worker_ends_and_names_it(tmp_path):
    runs = started("multi_worker", tmp_path, 2, endless=True)
    try:
        for line in runs[0][0].stdout:
            if "training" in line:
                break
        _check_loss(runs, 1)
    finally:
        for process, _ in runs:
            process.kill()
            process.wait()


def _check_loss(runs, lost):
    runs[lost][0].kill()
    began = time.monotonic()
    left = runs[1 - lost][0]
    said, _ = left.communicate(timeout=60)
    assert left.returncode == workers.LOST, said[-3000:]
    assert time.monotonic() - began < 60
    assert f"worker {lost} (127.0.0.1:" in said.splitlines()[-1]


CASES = [
    ("multi_worker", 2, 16, "float32"),
    ("multi_worker", 2, None, "float64"),
    ("multi_worker", 4, None, "float64"),
    ("mirrored", 2, None, "float64"),
    ("mirrored", 4, None, "float32"),
    ("mirrored", 2, 16, "float32"),
]


@pytest.mark.slow
@pytest.mark.parametrize("strategy, count, micro_batch_size, dtype", CASES)
def test_many_devices_train_what_one_trains(tmp_path, strategy, count, micro_batch_size, dtype):
    shared = dict(micro_batch_size=micro_batch_size, dtype=dtype, devices=count)
    many = started(strategy, tmp_path, count if strategy == "multi_worker" else 1, **shared)
    one = arrays(started("none", tmp_path, dtype=dtype)[0])
    assert_all_equal(one, [arrays(run) for run in many], 1e-9 if dtype == "float64" else 1e-4)


@pytest.mark.slow
def test_two_workers_skip_alike_in_float16_what_overflows_on_one(tmp_path):
    many = [arrays(run) for run in started("multi_worker", tmp_path, 2, mixed=True)]
    one = arrays(started("none", tmp_path, mixed=True)[0])
    for flat in (one, *many):
        assert (flat["updates"], flat["skipped"], flat["scale"]) == (15, 5, 2**15 / 2**5)
        assert flat["computed in"] == "float16"
    for name, value in one.items():
        assert many[0][name].tobytes() == many[1][name].tobytes(), name
        if name.startswith("change/"):
            assert np.linalg.norm(many[0][name] - value) < 0.01 * np.linalg.norm(value)
