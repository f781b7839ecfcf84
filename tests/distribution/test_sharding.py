"""Many workers train what one process trains, and a worker that loses another says so."""

import json
import os
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.data.sets import image_set_of
from tests.processes import read_until
from tests.training.step.test_accumulation import assert_equal
from tf_bdecay import data
from tf_bdecay.distribution import cluster, sharding, workers
from tf_bdecay.launching import processes
from tf_bdecay.terminal import signals

SCRIPT = pathlib.Path(__file__).with_name("worker_script.py")
ROOT = SCRIPT.parents[2]
SECONDS = 300


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


def test_weights_of_classes_are_given_before_the_batches_are_cut(monkeypatch):
    """Keras itself can give none to a distributed data set."""
    monkeypatch.setattr(sharding, "is_multi_worker", lambda strategy: True)
    places = [SimpleNamespace(num_replicas_in_sync=2, num_input_pipelines=2, input_pipeline_id=0)]
    strategy = SimpleNamespace(distribute_datasets_from_function=lambda make: make(*places))
    batches = tf.data.Dataset.from_tensor_slices((np.eye(4), [0, 2, 1, 0])).batch(4)
    cut = sharding.cut_for_workers(strategy, batches, {0: 1.0, 1: 3.0, 2: 0.5})
    ((x, y, weight),) = cut.as_numpy_iterator()
    np.testing.assert_array_equal(x, np.eye(4)[:2])
    assert (y.tolist(), weight.tolist()) == ([0, 2], [1.0, 0.5])
    assert len(sharding.cut_for_workers(strategy, batches).element_spec) == 2


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_workers_agree_on_signals_and_saves(number):
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
    own[1].number = number
    step()
    assert [a.number for a in both] == [number] * 2
    assert [a.save(False) for a in both] == [False, False]


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
    one = arrays(started("none", folder)[0])  # before them, as they take all there is of CPUs
    runs = started("multi_worker", folder, 2, endless=True)
    try:
        for process, _ in runs:
            read_until(process, "training\n", SECONDS)
        yield one, runs
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
        read_until(runs[0][0], "training\n", SECONDS)
        _check_loss(runs, 1)
    finally:
        for process, _ in runs:
            process.kill()
            process.wait()


def _check_loss(runs, lost):
    runs[lost][0].kill()
    left = runs[1 - lost][0]
    said, _ = left.communicate(timeout=60)
    assert left.returncode == workers.LOST, said[-3000:]
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
