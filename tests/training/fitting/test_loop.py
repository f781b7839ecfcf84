"""A run that is cut off anywhere continues to the same bits, from the disk as a kill leaves it."""

import io
import json
import os
import shutil
import signal
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf
from rich.console import Console

from configs import digits_resnet18
from tests.training.small import network
from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoints
from tf_bdecay.terminal import signals
from tf_bdecay.training import running
from tf_bdecay.training.building import experiment, parts
from tf_bdecay.training.config.checks import check
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.fitting import loop
from tf_bdecay.training.fitting.counts_updates import Position
from tf_bdecay.training.run_folder.workdir import Workdir
from tools.kills.compare import differences

UPDATES = 4  # an epoch
EPOCHS = 3


class At(keras.callbacks.Callback):
    """Calls functions once at moments: ("update", k) or ("evaluation", the updates done then)."""

    def __init__(self, moments):
        super().__init__()
        self.moments = dict(moments)

    def on_train_batch_end(self, batch, logs=None):
        self._call("update")

    def on_test_batch_begin(self, batch, logs=None):
        self._call("evaluation")

    def _call(self, kind):
        totals = self.model.optimizer.totals()
        update = totals["updates"] + totals["skipped_updates"]
        self.moments.pop((kind, update), lambda: None)()


def run(path, before=None, after=None, dropout=0.5, page=None, deterministic=False, **changes):
    """Trains a small network, with functions called before and after the other callbacks."""
    config = digits_resnet18.get_config()
    changes = {
        "batch_size": 352,
        "epochs": EPOCHS,
        "decay.threshold": 0.02,
        "log.summaries_every": 3,
        "log.checkpoint_updates": 1,
        "log.checkpoints_kept": 2,
        **changes,
    }
    config.update_from_flattened_dict(changes)
    check(config)
    fit = loop.fit

    def watched_fit(made, start, callbacks):
        fit(made, start, [At(before or {}), *callbacks, At(after or {})])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "make_model", lambda *_: network(dropout))
        patch.setattr(loop, "fit", watched_fit)
        made = experiment.build(config)
        console = Console(file=page or io.StringIO(), width=500)
        workdir = Workdir(path, flatten(config))
        return running.train(made, workdir, console, deterministic)


def run_and_copy(path, *moments, **changes):
    """Trains, and copies the folder at moments: what a kill at that moment leaves on the disk.

    Returns:
        The folders of the copies, by moment.
    """
    copies = {m: path.with_name(f"{path.name}-{m[0]}-{m[1]}") for m in moments}
    run(path, after={m: lambda to=to: _copy(path, to) for m, to in copies.items()}, **changes)
    return copies


def _copy(path, to):
    while True:
        try:
            shutil.copytree(path, to)
            return
        except shutil.Error:  # a checkpoint was written meanwhile
            shutil.rmtree(to)


def stop(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


PLAIN = [("update", 7), ("evaluation", 8), ("evaluation", 12)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run that nothing disturbed, and copies of its folder at moments."""
    path = tmp_path_factory.mktemp("resume") / "uninterrupted"
    return path, run_and_copy(path, *PLAIN)


@pytest.mark.parametrize("moment", PLAIN)
@pytest.mark.quick_rows(1)
def test_what_a_kill_leaves_goes_on_to_the_same_bits(uninterrupted, moment):
    path, copies = uninterrupted
    run(copies[moment])
    assert differences(path, copies[moment]) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"steps_per_execution": 2, "log.checkpoint_updates": 3},
        {"decay.source": "probe", "decay.probe_every": 3, "decay.probe_examples": 64},
        {"sharpness_aware.kind": "asam", "ema.momentum": 0.5},
        {
            **{"data.mixup": 0.2, "data.cutmix": 1.0, "label_smoothing": 0.1},
            **{"decay.source": "probe", "decay.probe_every": 3, "decay.probe_examples": 64},
        },
    ],
    ids=["several steps an execution", "probe", "asam and an average", "mixed, and a probe"],
)
def test_other_ways_to_train_go_on_too(tmp_path, changes):
    path = tmp_path / "uninterrupted"
    copies = run_and_copy(path, ("update", 6), ("evaluation", 8), **changes)
    for copy in copies.values():
        run(copy, **changes)
        assert differences(path, copy) == []


@pytest.mark.slow
def test_a_signal_saves_after_the_running_update_and_in_an_evaluation(uninterrupted, tmp_path):
    path = tmp_path / "cut"
    rare = {"log.checkpoint_updates": 100}  # how often a run saves may change as it goes on
    for kind, update, number, changes in (
        ("update", 2, signal.SIGTERM, {}),
        ("evaluation", 4, signal.SIGINT, rare),
    ):
        with pytest.raises(signals.Stopped) as stopped:
            run(path, {(kind, update): lambda number=number: stop(number)}, **changes)
        assert stopped.value.number == number
        assert checkpoints.newest(path / "checkpoints").name == f"update_{update:08d}.npz"
    run(path, **rare)
    assert differences(uninterrupted[0], path) == []


@pytest.fixture
def unfinished(uninterrupted, tmp_path):
    """The folder of a run that lacks nothing but its result."""
    copy = tmp_path / "copy"
    shutil.copytree(uninterrupted[0], copy)
    (copy / "result.json").unlink()
    return copy


def test_damaged_checkpoints_are_named_and_the_one_before_is_used(uninterrupted, unfinished):
    damaged = unfinished / "checkpoints" / "update_00000012.npz"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    page = io.StringIO()
    run(unfinished, page=page)
    assert "update_00000012.npz is damaged" in page.getvalue()
    assert f"Going on from {damaged.with_name('update_00000011.npz')}" in page.getvalue()
    assert differences(uninterrupted[0], unfinished) == []


@pytest.mark.slow
def test_going_on_with_another_determinism_is_said(unfinished):
    pages = [io.StringIO() for _ in range(3)]
    for page, deterministic in zip(pages, (False, True, True), strict=True):
        (unfinished / "result.json").unlink(missing_ok=True)
        run(unfinished, page=page, deterministic=deterministic)
    warned = [
        "was without --deterministic before and goes on with it" in p.getvalue() for p in pages
    ]
    assert warned == [False, True, True]  # its first updates stay what they are
    starts = json.loads((unfinished / "versions.json").read_text())
    assert [start["deterministic"] for start in starts] == [False, False, True, True]


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_again(unfinished):
    for file in (unfinished / "checkpoints").glob("*.npz"):
        file.write_bytes(b"")
    for _ in range(2):  # and not another time either
        with pytest.raises(BadInput, match=r"None of the \d checkpoints .* can be read"):
            run(unfinished)


def test_a_checkpoint_of_another_model_is_refused(unfinished):
    with pytest.raises(BadInput, match="of another model or optimizer"):
        run(unfinished, dropout=0.0)


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_stops_the_run_or_not(tmp_path):
    def in_the_way(path):
        def act():  # a folder of that name: no rename can take its place
            (path / "checkpoints" / "update_00000003.npz").mkdir()

        return {("update", 2): act}

    stops = tmp_path / "stop"
    with pytest.raises(OSError, match="update_00000003.npz"):
        run(stops, in_the_way(stops))
    names = [p.name for p in (stops / "checkpoints").glob("update_*.npz") if p.is_file()]
    assert sorted(names) == ["update_00000001.npz", "update_00000002.npz"]

    goes_on, page = tmp_path / "continue", io.StringIO()
    result = run(goes_on, in_the_way(goes_on), page=page, **{"log.on_save_error": "continue"})
    assert result["updates"] == UPDATES * EPOCHS
    assert "Warning: not saved, and training goes on" in page.getvalue()
    assert checkpoints.newest(goes_on / "checkpoints").name == "update_00000012.npz"


@pytest.mark.quick_rows(1)
@pytest.mark.slow
def test_a_fit_that_ends_early_is_not_taken_for_a_success(tmp_path):
    def end():
        raise tf.errors.OutOfRangeError(None, None, "End of sequence")

    with pytest.raises(loop.EndedEarly, match=r"after 10 of 12 updates"):
        run(tmp_path, before={("update", 6): end})
    assert not (tmp_path / "result.json").exists()


class Lasts(keras.callbacks.Callback):
    """A callback whose state the result needs, and that has none before it begins."""

    state_lasts = True

    def on_train_begin(self, logs=None):
        self.state = {"n": 0}

    def set_state(self, state):
        assert self.model is not None
        self.state.update(state)


@pytest.mark.parametrize("kept, expected", [({"Lasts": {"n": 3}}, 3), ({}, 0)])
def test_a_state_that_lasts_is_there_where_no_update_is_left(kept, expected):
    optimizer = SimpleNamespace(totals=lambda: {"updates": UPDATES, "skipped_updates": 0})
    ended = SimpleNamespace(
        size=SimpleNamespace(updates_per_epoch=UPDATES, total_updates=UPDATES),
        config=SimpleNamespace(epochs=1),
        trainer=SimpleNamespace(optimizer=optimizer),
    )
    callback = Lasts()
    loop.fit(ended, Position(UPDATES, 1, callbacks=kept), [keras.callbacks.Callback(), callback])
    assert callback.state == {"n": expected}
