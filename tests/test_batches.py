"""How data and batches are cut, and the one sentence of sizes that do not divide."""

import math

import numpy as np
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


@pytest.mark.parametrize("size, fits", [(32, True), (16, True), (40, False), (0, False)])
def test_a_batch_that_only_the_graph_knows(size, fits):
    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def unknown(x):
        return batches.divided(x, {"micro_batch_size": 16}, "the batch of a replica")

    x = np.ones([size, 3], "float32")
    if fits:
        np.testing.assert_array_equal(unknown(x), x)
        assert batches.divided(x, {"micro_batch_size": 16}, "the batch of a replica") is x
        return
    start = "micro_batch_size=16 must divide the batch of a replica: use a multiple of 16"
    received = rf"Received: the batch of a replica = \] \[{size}\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{start}.*{received}"):
        unknown(x)
    start = start if size else "The batch of a replica must not be empty"
    with pytest.raises(BadInput, match=f"{start}.*Received: the batch of a replica = {size}$"):
        batches.divided(x, {"micro_batch_size": 16}, "the batch of a replica")


def test_an_empty_batch_of_any_size():
    @tf.function(input_signature=[tf.TensorSpec([None])])
    def unknown(x):
        return batches.divided(x, {}, "the training batch")

    assert unknown(np.ones(5, "float32")).shape == 5
    with pytest.raises(tf.errors.InvalidArgumentError, match="training batch must not be empty"):
        unknown(np.ones(0, "float32"))
    said = "^The training batch must not be empty. Received: the training batch = 0$"
    with pytest.raises(BadInput, match=said), batches.one_sentence():
        unknown(np.ones(0, "float32"))


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("name", ["micro-batch (100%, 'a_b') ä", "micro_batch_size"])
def test_what_tensorflow_says_becomes_the_sentence(jit_compile, name):
    parts, whole, otherwise = {name: 16}, "the batch of 'x_1-2'", "partial='smaller'"

    @tf.function(input_signature=[tf.TensorSpec([None, 3])], jit_compile=jit_compile)
    def unknown(x):
        with tf.name_scope("inside"):  # names of operations are scoped and made unique
            y = batches.divided(x, parts, whole, otherwise)
            return batches.divided(y, parts, whole, otherwise) * 2.0

    with batches.one_sentence():
        assert unknown(np.ones([32, 3], "float32")).numpy().sum() == 2 * 32 * 3
    with pytest.raises(BadInput) as error, batches.one_sentence():
        unknown(np.ones([40, 3], "float32"))
    assert str(error.value) == (
        f"{name}=16 must divide the batch of 'x_1-2': use a multiple of 16, or partial='smaller'. "
        "Received: the batch of 'x_1-2' = 40"
    )
    assert error.value.__cause__ is None and error.value.__suppress_context__


@pytest.mark.parametrize(
    "error",
    [
        ValueError("3 must divide 10"),
        BadInput("a=3 must divide b: use a multiple of 3. Received: b=10"),
        tf.errors.InvalidArgumentError(None, None, "assertion failed: [x must be > 0] [-1]"),
        tf.errors.InvalidArgumentError(None, None, "Input to reshape is a tensor with 4 values"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_pass_as_they_are(error):
    with pytest.raises(type(error)) as raised, batches.one_sentence():
        raise error
    assert raised.value is error
