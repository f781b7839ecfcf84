"""The engine of whole tensors leaves its inputs alone and returns new values as its `state`."""

import numpy as np
import pytest
from keras import ops, tree

import tf_bdecay
from tests.optim import problem
from tf_bdecay import decay
from tf_bdecay.optim import whole_tensors

pytestmark = pytest.mark.any_backend

NAMES = list(problem.SHAPES)
ABSENT = NAMES.index("conv/bias")
PRESENT = tuple(i for i in range(len(NAMES)) if i != ABSENT)


def arrays(structure):
    return [np.array(ops.convert_to_numpy(t)) for t in tree.flatten(structure)]


def made(present=PRESENT, **options):
    """An optimizer, its state as tensors and the engine."""
    optimizer = tf_bdecay.Lamb(0.01, **options)
    optimizer.build(problem.make_variables(problem.initial()))
    state = tree.map_structure(lambda v: v.value, optimizer.state())
    return optimizer, whole_tensors.WholeTensors(optimizer, state, present)


def gradients(present=PRESENT):
    (first,) = problem.gradients(1)
    return [ops.convert_to_tensor(first[NAMES[i]].astype("float32")) for i in present]


def test_gradients_of_all_variables_one_tensor_a_block():
    optimizer, engine = made(loss_scale_factor=4.0)
    blocks = engine.reduce(gradients())
    (first,) = problem.gradients(1)
    for block, tensor in zip(optimizer.layout.blocks, blocks, strict=True):
        assert tuple(tensor.shape) == block.shape
        for i, part in zip(block.indices, block.split(tensor), strict=True):
            expected = 0.0 if i == ABSENT else first[NAMES[i]] / 4
            np.testing.assert_allclose(part, np.broadcast_to(expected, part.shape), rtol=1e-6)


def test_writing_replaces_parts_of_the_state_and_leaves_the_old_one_alone():
    _, engine = made()
    before = engine.state
    kept = arrays(before)
    engine.write({"iterations": before["iterations"] + 5})
    assert int(engine.value("iterations")) == 5
    assert engine.state.keys() == before.keys()
    for a, b in zip(arrays(before), kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_moving_a_block_changes_its_variables_alone():
    optimizer, engine = made()
    blocks = engine.reduce(gradients())
    decision = engine.judge([engine.norms(n, g) for n, g in enumerate(blocks)])
    before = [arrays(engine.state[name]) for name in ("parameters", "slots")]
    scalars = engine.scalars(ops.convert_to_tensor(0.01), engine.value("iterations"))
    for n, block in enumerate(optimizer.layout.blocks):
        ratios = engine.move(n, blocks[n], None, decision, scalars)
        assert tuple(ratios.shape) == (len(block.indices),)
        done = {i for b in optimizer.layout.blocks[: n + 1] for i in b.indices}
        for i, (old, new) in enumerate(zip(before[0], engine.state["parameters"], strict=True)):
            assert np.array_equal(old, new) == (i not in done or i == ABSENT), NAMES[i]
            assert tuple(new.shape) == problem.SHAPES[NAMES[i]]
    for old, new in zip(before[1], arrays(engine.state["slots"]), strict=True):
        assert old.shape == new.shape and not np.array_equal(old, new)


@pytest.mark.parametrize("accepted", [True, "yes", "no"])
def test_of_two_branches_one_is_written(accepted):
    _, engine = made()

    def write(value):
        engine.write({"learning_rate_sum": ops.convert_to_tensor(value)})

    condition = accepted if accepted is True else ops.convert_to_tensor(accepted == "yes")
    engine.branch(condition, lambda: write(1.0), lambda: write(2.0))
    assert float(engine.value("learning_rate_sum")) == (2.0 if accepted == "no" else 1.0)


def test_a_probes_decision_is_kept():
    policy = decay.AdaptiveBetaDecay(threshold=0.1, source="probe")
    _, engine = made(weight_decay=policy)
    engine.write({"decay_on": ops.convert_to_tensor([True, False])})
    blocks = engine.reduce(gradients())
    decision = engine.judge([engine.norms(n, g) for n, g in enumerate(blocks)])
    assert np.array(decision["decay_on"]).tolist() == [True, False]


def test_an_average_follows_its_variable():
    optimizer, engine = made(use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=2)
    theta, average = (arrays(engine.state[name])[3] for name in ("parameters", "averages"))
    engine.average(3, ops.convert_to_tensor(1))  # the second update: overwritten
    expected = 0.75 * average + 0.25 * theta
    for name in ("parameters", "averages"):
        np.testing.assert_allclose(arrays(engine.state[name])[3], expected, rtol=1e-6)
    engine.average(2, ops.convert_to_tensor(2))
    np.testing.assert_array_equal(arrays(engine.state["parameters"])[2], np.ones(4))
    assert len(optimizer.averages) == len(NAMES)
