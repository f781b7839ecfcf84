"""How data and batches are divided, and the one sentence on sizes that do not divide."""

import math

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tf_bdecay import batches
from tf_bdecay.errors import BadInput


@given(st.data())
def test_updates_cut_an_epoch_into_batches(data):
    count = data.draw(st.integers(1, 10**7))
    batch = data.draw(st.integers(1, count))
    dropped = batches.updates_per_epoch(count, batch, "drop")
    kept = batches.updates_per_epoch(count, batch, "keep")
    assert dropped * batch <= count < (dropped + 1) * batch
    assert kept == math.ceil(count / batch)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((10, 11, "drop"), "at most the number of examples, 10. Received: batch_size=11"),
        ((10, 11, "keep"), "batch_size=11"),
        ((10, 0, "drop"), "batch_size=0"),
        ((10, 2.5, "drop"), "batch_size=2.5"),
        ((10, True, "drop"), "batch_size=True"),
        ((0, 1, "drop"), "num_examples=0"),
        ((10, 5, "dropp"), "Unknown remainder 'dropp': did you mean 'drop'"),
        ((10, 5, True), "Unknown remainder True"),
    ],
)
def test_an_epoch_that_cannot_be_cut_is_refused(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        batches.updates_per_epoch(*arguments)


@pytest.mark.parametrize("examples", [1, 7, 359, 360, 361, 1000])
@pytest.mark.parametrize("asked", [16, 358, 1000])
@pytest.mark.parametrize("replicas", [1, 2, 3, 4])
def test_every_replica_gets_a_part_of_every_evaluation_batch(examples, asked, replicas):
    if examples < replicas:
        with pytest.raises(BadInput, match=f"each of {replicas} replicas"):
            batches.evaluation_batch_size(examples, asked, replicas)
        return
    size = batches.evaluation_batch_size(examples, asked, replicas)
    assert 1 <= size <= asked
    found = [size] * (examples // size) + [examples % size] * (examples % size > 0)
    for batch in found:
        each = -(-batch // replicas)
        left = batch
        for _ in range(replicas):
            assert left > 0, (size, batch)
            left -= min(each, left)


def test_without_replicas_the_evaluation_batch_is_the_one_asked_for():
    assert batches.evaluation_batch_size(10_000, 1000, 1) == 1000
    assert batches.evaluation_batch_size(359, 1000, 1) == 359


@pytest.mark.parametrize("examples, count", [(24, 1), (24, 3), (25, 3), (2, 4), (0, 2)])
def test_parts_are_consecutive_and_leave_nothing_out(examples, count):
    ends = [batches.bounds(examples, index, count) for index in range(count)]
    assert [begin for begin, _ in ends] == [0, *(end for _, end in ends[:-1])]
    assert ends[-1][1] == examples
    sizes = [end - begin for begin, end in ends]
    assert max(sizes) - min(sizes) == (1 if examples % count else 0)


def test_bounds_of_tensors_are_those_of_ints():
    found = [int(n) for n in batches.bounds(tf.constant(25), 1, 3)]
    assert tuple(found) == batches.bounds(25, 1, 3)


@pytest.mark.parametrize(
    "cut, share",
    [
        (dict(batch=8192), 8192),
        (dict(batch=8192, replicas=4, ghost_batch=32), 2048),
        (dict(batch=8192, replicas=4, micro_batch=2048, ghost_batch=32), 2048),
        (dict(batch=96, replicas=3, micro_batch=16, ghost_batch=16), 32),
        (dict(batch=7, replicas=7, micro_batch=1), 1),
        (dict(batch=16, replicas=4, ghost_batch=8), 4),
        (dict(batch=512, replicas=64, ghost_batch=32), 8),
        (dict(batch=6, replicas=6, ghost_batch=6), 1),
    ],
)
def test_what_can_be_cut(cut, share):
    assert batches.check_cut(**cut) == share


def test_replicas_share_ghost_batches_only_where_all_batches_are_of_one_size():
    with pytest.raises(BadInput, match="replicas=4 x ghost_batch_size=8 must divide batch_size"):
        batches.check_cut(16, replicas=4, ghost_batch=8, shared=False)
    assert batches.check_cut(64, replicas=4, ghost_batch=8, shared=False) == 16


@pytest.mark.parametrize(
    "cut, sentence",
    [
        (
            dict(batch=100, ghost_batch=32),
            "ghost_batch_size=32 must divide batch_size: use a multiple of 32, such as 96 or 128, "
            "or ghost_batch_size=25 or 50. Received: batch_size=100",
        ),
        (
            dict(batch=8192, replicas=3, ghost_batch=32),
            "replicas=3 x ghost_batch_size=32 must divide batch_size: use a multiple of 96, such "
            "as 8160 or 8256. Received: batch_size=8192",
        ),
        (
            dict(batch=20, replicas=3, otherwise="drop it"),
            "replicas=3 must divide batch_size: use a multiple of 3, such as 18 or 21, or "
            "replicas=2 or 4, or drop it. Received: batch_size=20",
        ),
        (
            dict(batch=128, micro_batch=48, ghost_batch=32),
            "ghost_batch_size=32 must divide micro_batch_size: use a multiple of 32, such as 32 or "
            "64, or ghost_batch_size=24 or 48. Received: micro_batch_size=48",
        ),
        (
            dict(batch=256, replicas=2, micro_batch=96, ghost_batch=32),
            "micro_batch_size=96 must divide a replica's part of batch_size: use a multiple of 96, "
            "such as 96 or 192, or micro_batch_size=64 or 128. Received: a replica's part of "
            "batch_size = 128",
        ),
        (
            dict(batch=16, replicas=4, micro_batch=4, ghost_batch=8),
            "replicas=4 x ghost_batch_size=8 must divide batch_size: use a multiple of 32, such as "
            "32. Received: batch_size=16",
        ),
        (
            dict(batch=24, replicas=6, ghost_batch=16),
            "replicas=6 x ghost_batch_size=16 must divide batch_size: use a multiple of 96, such "
            "as 96. Received: batch_size=24",
        ),
        (
            dict(batch=16, replicas=4, ghost_batch=6),
            "replicas=4 x ghost_batch_size=6 must divide batch_size: use a multiple of 24, such as "
            "24. Received: batch_size=16",
        ),
        (dict(batch=0), "Batch_size must not be empty. Received: batch_size=0"),
    ],
)
def test_what_cannot_be_cut_is_one_sentence(cut, sentence):
    with pytest.raises(BadInput) as error:
        batches.check_cut(**cut)
    assert str(error.value) == sentence


def test_the_values_that_a_sentence_names_are_right():
    for batch, micro, ghost in [(96, 64, 16), (640, 96, 32), (72, 20, 4)]:
        with pytest.raises(BadInput) as error:
            batches.check_cut(batch, micro_batch=micro, ghost_batch=ghost)
        said = str(error.value)
        batch_sizes = said.split("such as ")[1].split(",")[0].split(" or ")
        micro_sizes = said.split("micro_batch_size=")[2].split(".")[0].split(" or ")
        assert len(batch_sizes) == 2 and micro_sizes
        for size in batch_sizes:
            batches.check_cut(int(size), micro_batch=micro, ghost_batch=ghost)
        for size in micro_sizes:
            batches.check_cut(batch, micro_batch=int(size), ghost_batch=ghost)


@pytest.mark.parametrize("size", [1, 2, 12, 36, 97, 8192])
def test_divisors(size):
    assert batches.divisors(size) == [d for d in range(1, size + 1) if size % d == 0]
