"""A file is complete or refused, and a run continued from it equals an unstopped one."""

import ml_dtypes
import numpy as np
import pytest

import tf_bdecay
from tests.training.small import digits, trainer, values
from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoint_file

META = {"update": 4}


def state(made):
    return checkpoint_file.state_of(made, made.optimizer)


def train(made, epochs=1):
    x, y = digits()
    made.fit(x, y, batch_size=64, epochs=epochs, shuffle=False, verbose=0)
    return made


def save(path, made):
    checkpoint_file.write(path, checkpoint_file.snapshot(state(made)), META)
    return path


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a checkpoint of the network as it starts."""
    return save(tmp_path_factory.mktemp("checkpoint") / "x.npz", trainer()).read_bytes()


def test_going_on_from_a_checkpoint_equals_not_stopping_dropout_included(tmp_path):
    uninterrupted = train(train(trainer(dropout=0.5)))
    half = train(trainer(dropout=0.5))
    copies = checkpoint_file.snapshot(state(half))
    train(half)  # changes no copy
    checkpoint_file.write(tmp_path / "half.npz", copies, META)
    arrays, meta = checkpoint_file.read(tmp_path / "half.npz")
    assert meta == {"format": checkpoint_file.FORMAT, **META}
    resumed = trainer(dropout=0.5, seed=99)
    checkpoint_file.assign("half.npz", arrays, state(resumed))
    train(resumed)
    for label, variable in state(uninterrupted).items():
        np.testing.assert_array_equal(variable.numpy(), state(resumed)[label].numpy(), label)


def test_decision_seeds_and_statistics_are_in_it():
    labels = " ".join(state(trainer(dropout=0.5)))
    for part in ("seed_generator", "moving_mean", "bias_ratio", "skipped_updates", "iteration"):
        assert part in labels


@pytest.mark.parametrize("flipped", [*np.linspace(0, 1, 9), "truncated", "marked", "empty"])
def test_a_file_that_is_not_what_was_written_is_damaged(tmp_path, content, flipped):
    if flipped == "truncated":
        changed = content[: len(content) // 2]
    elif flipped == "marked":  # the checksum alone is lost: the archive itself is complete
        changed = content[: content.rindex(b"\n")]
    elif flipped == "empty":
        changed = b""
    else:
        changed = bytearray(content)
        changed[int(flipped * (len(content) - 1))] ^= 1
    (tmp_path / "x.npz").write_bytes(changed)
    with pytest.raises(checkpoint_file.Damaged, match="x.npz is damaged"):
        checkpoint_file.read(tmp_path / "x.npz")


def test_a_file_that_is_lost_or_cannot_be_read_is_damaged(tmp_path):
    with pytest.raises(checkpoint_file.Damaged, match="x.npz is missing"):
        checkpoint_file.read(tmp_path / "x.npz")
    (tmp_path / "x.npz").mkdir()
    with pytest.raises(checkpoint_file.Damaged, match="x.npz cannot be read .Is a directory"):
        checkpoint_file.read(tmp_path / "x.npz")


def test_another_format_is_a_sentence(tmp_path):
    checkpoint_file.write(tmp_path / "new.npz", {}, {"format": 9})
    with pytest.raises(BadInput, match="new.npz is of format 9 and") as caught:
        checkpoint_file.read(tmp_path / "new.npz")
    assert not isinstance(caught.value, checkpoint_file.Damaged)  # none is silently passed over


def test_another_model_or_optimizer_is_refused_by_name_and_changes_nothing():
    arrays = checkpoint_file.snapshot(state(trainer()))
    for other, said in (
        (trainer(tf_bdecay.SGD(0.1)), "of another model or optimizer.*only in"),
        (trainer(dropout=0.1), "of another model or optimizer.*seed_generator_state"),
    ):
        before = values(state(other).values())
        with pytest.raises(BadInput, match=said):
            checkpoint_file.assign("x.npz", arrays, state(other))
        for a, b in zip(before, values(state(other).values()), strict=True):
            np.testing.assert_array_equal(a, b)
    made = state(trainer())
    label = next(k for k in made if k.endswith("/kernel"))
    arrays[label] = arrays[label].astype("float64")
    with pytest.raises(BadInput, match="kernel.*float64.*there and float32"):
        checkpoint_file.assign("x.npz", arrays, made)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"])
def test_dtypes_that_numpy_lacks_come_back(tmp_path, name):
    kind = np.dtype(getattr(ml_dtypes, name))
    arrays = {
        "matrix": np.arange(6).reshape(2, 3).T.astype(kind),  # not contiguous
        "scalar": np.array(1.5, kind),
        "own": np.array(1.5),
    }
    checkpoint_file.write(tmp_path / "x.npz", arrays, META)
    found, meta = checkpoint_file.read(tmp_path / "x.npz")
    assert meta == {"format": checkpoint_file.FORMAT, **META}
    for label, array in arrays.items():
        assert found[label].dtype == array.dtype
        np.testing.assert_array_equal(found[label], array)
