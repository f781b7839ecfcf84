"""A batch whose size only the graph knows, and the one sentence on what is wrong with it."""

import numpy as np
import pytest
import tensorflow as tf

from tf_bdecay import batch_checks
from tf_bdecay.errors import BadInput


def test_the_first_tensor_is_that_of_a_structure_s_first_part_which_is_there():
    x, y = np.ones(3), np.ones(4)
    assert batch_checks.first_tensor(({"a": None, "b": x}, y, None)) is x
    assert batch_checks.first_tensor(y) is y


@pytest.mark.parametrize("size, fits", [(32, True), (16, True), (40, False), (0, False)])
def test_a_batch_that_only_the_graph_knows(size, fits):
    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def unknown(x):
        return batch_checks.divided(x, {"micro_batch_size": 16}, "the batch of a replica")

    x = np.ones([size, 3], "float32")
    if fits:
        np.testing.assert_array_equal(unknown(x), x)
        assert batch_checks.divided(x, {"micro_batch_size": 16}, "the batch of a replica") is x
        return
    start = "micro_batch_size=16 must divide the batch of a replica: use a multiple of 16"
    received = rf"Received: the batch of a replica = \] \[{size}\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{start}.*{received}"):
        unknown(x)
    start = start if size else "The batch of a replica must not be empty"
    with pytest.raises(BadInput, match=f"{start}.*Received: the batch of a replica = {size}$"):
        batch_checks.divided(x, {"micro_batch_size": 16}, "the batch of a replica")


def test_an_empty_batch_of_any_size():
    @tf.function(input_signature=[tf.TensorSpec([None])])
    def unknown(x):
        return batch_checks.divided(x, {}, "the training batch")

    assert unknown(np.ones(5, "float32")).shape == 5
    with pytest.raises(tf.errors.InvalidArgumentError, match="training batch must not be empty"):
        unknown(np.ones(0, "float32"))
    said = "^The training batch must not be empty. Received: the training batch = 0$"
    with pytest.raises(BadInput, match=said), batch_checks.one_sentence():
        unknown(np.ones(0, "float32"))


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("name", ["micro-batch (100%, 'a_b') ä", "micro_batch_size"])
def test_what_tensorflow_says_becomes_the_sentence(jit_compile, name):
    parts, whole, otherwise = {name: 16}, "the batch of 'x_1-2'", "partial='smaller'"

    @tf.function(input_signature=[tf.TensorSpec([None, 3])], jit_compile=jit_compile)
    def unknown(x):
        with tf.name_scope("inside"):  # names of operations are scoped and made unique
            y = batch_checks.divided(x, parts, whole, otherwise)
            return batch_checks.divided(y, parts, whole, otherwise) * 2.0

    with batch_checks.one_sentence():
        assert unknown(np.ones([32, 3], "float32")).numpy().sum() == 2 * 32 * 3
    with pytest.raises(BadInput) as error, batch_checks.one_sentence():
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
    with pytest.raises(type(error)) as raised, batch_checks.one_sentence():
        raise error
    assert raised.value is error


def test_micro_batches_are_the_batch_cut_in_its_order():
    x, y = np.arange(24.0).reshape(6, 4), np.arange(6)
    cut = batch_checks.in_micro_batches((x, {"y": y}, None), 2)
    np.testing.assert_array_equal(cut[0], x.reshape(3, 2, 4))
    np.testing.assert_array_equal(cut[1]["y"], [[0, 1], [2, 3], [4, 5]])
    assert cut[2] is None
    with pytest.raises(BadInput, match="micro_batch_size=4 must divide the batch of a replica"):
        batch_checks.in_micro_batches(x, 4)


def test_micro_batches_keep_what_the_graph_knows_of_a_shape():
    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def cut(x):
        parts = batch_checks.in_micro_batches(x, 2)
        assert parts.shape.as_list() == [None, 2, 3]
        return parts

    assert cut(np.ones([4, 3], "float32")).shape == (2, 2, 3)
