"""What Resume refuses to resume: it says why in a sentence, and nothing is trained."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.callbacks.resuming.resumed import BATCH, EVERY, Program, arrays, compiled
from tests.processes import running
from tf_bdecay.callbacks import Resume
from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoint_file

pytestmark = pytest.mark.any_backend


@pytest.fixture(scope="module")
def adam():
    """A program with Adam."""
    return Program(compiled("adam"))


def test_where_none_can_be_read_nothing_is_trained(adam, tmp_path):
    program = adam
    program(tmp_path, 11)
    for path in tmp_path.glob("update_*"):
        path.write_bytes(b"")
    with pytest.raises(BadInput, match="None of the .* checkpoints .* can be read"):
        program(tmp_path)
    (tmp_path / "of another kind").mkdir()
    path = tmp_path / "of another kind" / "update_00000003.npz"
    checkpoint_file.write(path, {"a": np.zeros(2)}, {"update": 3})
    with pytest.raises(BadInput, match="is not one of Resume"):
        program(tmp_path / "of another kind")


def changed_data(**arguments):
    x, y = arrays()
    return lambda resume: resume.data(x, y, **{"batch_size": BATCH, **arguments})


@pytest.mark.parametrize(
    "data, says",
    [
        (changed_data(seed=1), "seed is 0 there and 1 here"),
        (changed_data(shuffle=False), "shuffle is True there and False here"),
        (changed_data(batch_size=4), "batch_size is 8 there and 4 here"),
        (
            lambda resume: resume.data(*(a[:50] for a in arrays()), batch_size=BATCH),
            "examples is 52 there and 50 here",
        ),
        (
            lambda resume: resume.data(arrays()[0] + 1, arrays()[1], batch_size=BATCH),
            "digest of some examples is",
        ),
        (
            lambda resume: resume.data(lambda epoch: [tuple(a[:BATCH] for a in arrays())] * 7),
            "kind is 'Arrays' there and 'Read' here",
        ),
    ],
)
def test_other_data_are_refused(adam, tmp_path, data, says):
    program = adam
    program(tmp_path, EVERY + 1)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    other = Program(program.model, data)
    with pytest.raises(BadInput, match=f"is of another run: .*{says}"):
        other(tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def wide():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(9), keras.layers.Dense(3)])


@pytest.mark.parametrize(
    "other, says",
    [
        (lambda: compiled("momentum"), "optimizer.class_name is 'Adam' there and 'SGD' here"),
        (lambda: compiled("adam", wide()), "it has 5 layers there and 3 here"),
    ],
)
def test_another_model_or_optimizer_is_refused(adam, tmp_path, other, says):
    program = adam
    program(tmp_path, EVERY + 1)
    with pytest.raises(BadInput, match=f"is of another run: .*{says}"):
        Program(other())(tmp_path)


def test_another_width_is_refused(tmp_path):
    folder = tmp_path / "run"
    widths = [
        keras.Sequential([keras.Input((6,)), keras.layers.Dense(n), keras.layers.Dense(3)])
        for n in (4, 5)
    ]
    one, other = (Program(compiled("momentum", model), epochs=1) for model in widths)
    one(folder, EVERY + 1)
    with pytest.raises(BadInput, match=r"is float32 \[6, 4\] there and float32 \[6, 5\] here"):
        other(folder)


def test_what_cannot_go_on_is_refused_when_fit_begins(tmp_path):
    model, resume = compiled("momentum"), Resume(tmp_path / "run")
    x, y = arrays()
    with pytest.raises(BadInput, match=r"give `fit` resume.data\(x, y, batch_size=...\)"):
        model.fit(x, y, callbacks=[resume], verbose=0)
    data = resume.data(x, y, batch_size=BATCH)
    with pytest.raises(BadInput, match="Received: 4 steps an epoch"):
        model.fit(data, steps_per_epoch=4, callbacks=[resume], verbose=0)
    with pytest.raises(BadInput, match="Received: 2 steps an epoch"):
        model.fit(x, y, callbacks=[resume], verbose=0)
    with pytest.raises(BadInput, match="Received: other data than those"):
        model.fit(x, y, batch_size=BATCH, callbacks=[resume], verbose=0)
    assert list((tmp_path / "run").glob("update_*")) == []
    (tmp_path / "file").write_text("")
    resume = Resume(tmp_path / "file" / "inside")
    with pytest.raises(BadInput, match="`folder` of Resume cannot be used"):
        model.fit(resume.data(x, y), callbacks=[resume], verbose=0)


def test_an_epoch_that_is_not_the_checkpoint_s(adam, tmp_path):
    program = adam
    program(tmp_path, EVERY + 1)  # inside epoch 0, where Keras takes the caller's word
    other = Program(program.model, initial_epoch=2)
    with pytest.raises(BadInput, match="is of epoch 0, and `fit` begins with 2: leave initial_ep"):
        other(tmp_path)


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"folder": 3}, "`folder` of Resume must be a path"),
        ({"every_updates": 0}, "`every_updates` of Resume"),
        ({"every_minutes": 0}, "`every_minutes` of Resume"),
        ({"keep": 0}, "`keep` of Resume"),
        ({"on_error": "ignore"}, "`on_error` of Resume"),
        ({"show": 1}, "`show` of Resume"),
        ({"callbacks": ["EarlyStopping"]}, "`callbacks` of Resume"),
    ],
)
def test_arguments_out_of_range(tmp_path, arguments, says):
    with pytest.raises(BadInput, match=says):
        Resume(**{"folder": tmp_path, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_share_a_folder(adam, tmp_path):
    program = adam
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX)"
    code += "; print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / ".lock")]
    with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(BadInput, match="Another process trains in the folder"):
            program(tmp_path)
    program(tmp_path, 2)
