"""What a checkpoint holds; a damaged or foreign one is refused and changes nothing."""

import json

import numpy as np
import pytest

import tf_bdecay
from tests.training.small import digits, trainer, values
from tf_bdecay.errors import BadInput
from tf_bdecay.training import checkpoints


def state(made):
    return checkpoints.state_of(made, made.optimizer)


def train(made, epochs=1):
    x, y = digits()
    made.fit(x, y, batch_size=64, epochs=epochs, shuffle=False, verbose=0)
    return made


def test_going_on_from_a_checkpoint_equals_not_stopping_dropout_included(tmp_path):
    whole = train(train(trainer(dropout=0.5)))
    half = train(trainer(dropout=0.5))
    path = checkpoints.save(tmp_path, state(half), {"epoch": 1, "update": 4}, keep=2)
    resumed = trainer(dropout=0.5, seed=99)
    assert checkpoints.restore(path, state(resumed)) == {"epoch": 1, "update": 4}
    train(resumed)
    for label, variable in state(whole).items():
        np.testing.assert_array_equal(variable.numpy(), state(resumed)[label].numpy(), label)


def test_decision_seeds_and_statistics_are_in_it():
    labels = " ".join(state(trainer(dropout=0.5)))
    for part in ("seed_generator", "moving_mean", "bias_ratio", "skipped_updates", "iteration"):
        assert part in labels


def test_only_the_newest_are_kept(tmp_path):
    made = state(trainer())
    for update in (4, 8, 12, 100_000_000):
        checkpoints.save(tmp_path, made, {"update": update}, keep=2)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["update_00000012.npz", "update_100000000.npz"]
    assert checkpoints.newest(tmp_path).name == "update_100000000.npz"


def test_there_is_none_in_a_new_folder(tmp_path):
    assert checkpoints.newest(tmp_path / "not there") is None


def test_an_unfinished_file_is_no_checkpoint(tmp_path):
    (tmp_path / ".update_00000004.npz.part").write_bytes(b"half")
    assert checkpoints.newest(tmp_path) is None


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_file_is_named_and_changes_nothing(tmp_path, damage):
    path = checkpoints.save(tmp_path, state(trainer()), {"update": 4}, keep=1)
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 2] ^= 0xFF
    else:
        content = b""
    path.write_bytes(content)
    made = trainer(seed=1)
    before = values(state(made).values())
    with pytest.raises(BadInput, match="update_00000004.npz is damaged"):
        checkpoints.restore(path, state(made))
    for a, b in zip(before, values(state(made).values()), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_model_or_optimizer_is_refused_by_name(tmp_path):
    path = checkpoints.save(tmp_path, state(trainer()), {"update": 4}, keep=1)
    with pytest.raises(BadInput, match="of another model or optimizer.*only in"):
        checkpoints.restore(path, state(trainer(tf_bdecay.SGD(0.1))))
    with pytest.raises(BadInput, match="of another model or optimizer.*seed_generator_state"):
        checkpoints.restore(path, state(trainer(dropout=0.1)))
    made = state(trainer())
    label = next(k for k in made if k.endswith("/kernel"))
    with np.load(path) as file:
        arrays = dict(file)
    arrays[label] = arrays[label].astype("float64")
    np.savez(path, **arrays)
    with pytest.raises(BadInput, match="kernel.*float64.*there and float32"):
        checkpoints.restore(path, made)


def test_meta_is_plain_json(tmp_path):
    path = checkpoints.save(tmp_path, state(trainer()), {"update": 4, "epoch": 1}, keep=1)
    with np.load(path) as file:
        assert json.loads(file["meta"].tobytes()) == {"update": 4, "epoch": 1}
