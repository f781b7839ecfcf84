"""Blocks hold every variable once, and compute by variable what NumPy does."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tests.optim import problem
from tf_bdecay import decay
from tf_bdecay.optim import blocks
from tf_bdecay.optim.blocks import gather_by_variable, make_blocks
from tf_bdecay.roles import roles_of

pytestmark = pytest.mark.any_backend

SHAPES = st.lists(
    st.lists(st.integers(0, 4), min_size=0, max_size=3).map(tuple), min_size=1, max_size=8
)


@settings(max_examples=25)
@given(SHAPES, st.sampled_from([0, 4, 1000]), st.integers(0, 99))
def test_blocks_partition_and_reduce(shapes, pack_below, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=s).astype("float32") for s in shapes]
    blocks = make_blocks(shapes, ["float32"] * len(shapes), pack_below)
    assert sorted(i for b in blocks for i in b.indices) == list(range(len(shapes)))
    sums, squares = [], []
    for block in blocks:
        joined = block.join([ops.convert_to_tensor(arrays[i]) for i in block.indices])
        assert tuple(joined.shape) == block.shape
        for i, part in zip(block.indices, block.split(joined), strict=True):
            np.testing.assert_array_equal(part, arrays[i])
        sums.append(block.sums(ops.abs(joined)))
        squares.append(block.square_sums(joined))
        spread = block.spread(ops.arange(len(block.indices), dtype="float32"))
        filled = np.broadcast_to(ops.convert_to_numpy(spread), block.shape)
        expected = [np.full(arrays[i].size, n) for n, i in enumerate(block.indices)]
        np.testing.assert_array_equal(filled.ravel(), np.concatenate(expected))
    by_variable = ops.convert_to_numpy(gather_by_variable(blocks, sums))
    np.testing.assert_allclose(by_variable, [np.abs(a).sum() for a in arrays], rtol=1e-4)
    by_variable = ops.convert_to_numpy(gather_by_variable(blocks, squares))
    np.testing.assert_allclose(by_variable, [(a**2).sum() for a in arrays], rtol=1e-4)


@pytest.mark.parametrize(
    "shape", [(3, 8192), (4096, 3), (3, 3, 64, 64), (2, 1024), (7, 7, 3, 64), (4097,), (5, 821)]
)
def test_sums_of_large_variables_are_those_of_numpy(shape):
    array = np.random.default_rng(0).normal(size=shape).astype("float32")
    (block,) = make_blocks([shape], ["float32"], pack_below=0)
    for found, expected in (
        (block.sums(ops.abs(ops.convert_to_tensor(array))), np.abs(array)),
        (block.square_sums(ops.convert_to_tensor(array)), np.square(array, dtype="float64")),
    ):
        np.testing.assert_allclose(found, [expected.sum(dtype="float64")], rtol=1e-6)


def test_small_variables_are_packed_by_dtype_and_large_ones_are_not():
    shapes = [(3,), (100, 100), (5,), (2, 2), ()]
    dtypes = ["float32", "float32", "bfloat16", "float32", "bfloat16"]
    blocks = make_blocks(shapes, dtypes)
    assert {b.indices for b in blocks} == {(1,), (0, 3), (4, 2)}
    assert [b.packed for b in blocks if b.indices == (1,)] == [False]
    assert {b.compute_dtype for b in blocks} == {"float32"}


def test_double_precision_stays_double():
    (block,) = make_blocks([(2,)], ["float64"])
    assert block.compute_dtype == "float64"


@pytest.mark.parametrize("pack_below", [0, 1000])
def test_step_sizes_are_rate_times_multiplier_times_ratio(pack_below, monkeypatch):
    cut = functools.partial(make_blocks, pack_below=pack_below)
    monkeypatch.setattr(blocks, "make_blocks", cut)
    roles = roles_of(problem.make_variables(problem.initial()))
    ones = np.ones(len(roles))
    for multipliers, ratios in itertools.product((ones, ones.cumsum()), (ones, 0.1 * ones)):
        layout = blocks.Layout(roles, ["float32"] * len(roles), decay.NoDecay(), multipliers)
        for block in layout.blocks:
            indices = list(block.indices)
            trust = ops.convert_to_tensor(ratios[indices].astype("float32"))
            trust = None if ratios is ones else trust
            sizes = layout.step_sizes(block, ops.convert_to_tensor(0.5), trust)
            sizes = block.split(ops.broadcast_to(sizes, block.shape))
            for size, expected in zip(sizes, 0.5 * (multipliers * ratios)[indices], strict=True):
                np.testing.assert_allclose(size, np.full_like(size, expected), rtol=1e-6)
