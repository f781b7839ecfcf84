"""tools/reproducing/on_jax/loop.py and step.py under JAX, and with them files.py."""

import json
import time

import keras
import numpy as np
import pandas as pd
import pytest

from tests.tools.on_jax import small
from tf_bdecay.errors import BadInput
from tf_bdecay.training.building import parts
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.run_folder.workdir import Workdir

pytestmark = [
    pytest.mark.any_backend,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="the loop is JAX's"),
]
if keras.backend.backend() == "jax":
    from tools.reproducing.on_jax import building, feed, files, loop


@pytest.fixture(scope="module")
def run():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "make_model", small.network)
        return building.build(small.config(epochs=3, max_skipped_updates=5))


@pytest.fixture(scope="module")
def start(run):
    """The state before any update, as NumPy arrays."""
    return files.State(*([np.asarray(v) for v in group] for group in run.steps.state()))


def train(run, start, folder, **arguments):
    """Trains in a folder, from its checkpoint or the start; the result."""
    run.steps.give_back(start)
    workdir = Workdir(folder, flatten(run.config))
    with workdir.lock():
        return loop.train(run, workdir, **arguments)


def test_a_run_that_is_stopped_goes_on_to_the_bit(run, start, tmp_path, capsys):
    whole = train(run, start, tmp_path / "whole")
    assert train(run, start, tmp_path / "cut", until=time.time()) is None
    assert "Stopped after epoch 1 of 3" in capsys.readouterr().out
    assert not (tmp_path / "cut" / "result.json").exists()
    again = train(run, start, tmp_path / "cut")
    assert again == whole == json.loads((tmp_path / "cut" / "result.json").read_text())
    assert whole["updates"] == 9 and whole["unmeasured"] == loop.UNMEASURED
    with (
        np.load(tmp_path / "whole/checkpoint.npz") as a,
        np.load(tmp_path / "cut/checkpoint.npz") as b,
    ):
        assert a.files == b.files and int(a["epoch"]) == 3
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    for name, count in (("metrics", 3), ("layers", 9 * 2), ("variables", 3 * 8)):
        a, b = (pd.read_csv(tmp_path / part / f"{name}.csv") for part in ("whole", "cut"))
        assert len(a) == count
        timed = ["images_per_second", "seconds"] if name == "metrics" else []
        pd.testing.assert_frame_equal(a.drop(columns=timed), b.drop(columns=timed))
    metrics = pd.read_csv(tmp_path / "whole/metrics.csv")
    assert "test_accuracy_precise" in metrics.columns
    assert metrics["decay_on_fraction"].mean() == pytest.approx(whole["decay_on_fraction"])


def test_a_checkpoint_that_is_damaged_or_of_another_run_is_refused(run, start, tmp_path):
    path = tmp_path / "checkpoint.npz"
    files.save(path, start, 2)
    found, epoch = files.load(path, start)
    assert epoch == 2
    np.testing.assert_array_equal(found.trainable[0], start.trainable[0])
    with pytest.raises(BadInput, match="variables of another run"):
        files.load(path, start._replace(kept=start.kept[1:]))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadInput, match="is damaged"):
        files.load(path, start)


def epoch_of(run, number=0):
    return loop.choices_of(run, number)


@pytest.mark.slow
def test_half_precision_keeps_weights_in_float32(run, start, monkeypatch):
    monkeypatch.setattr(parts, "make_model", small.network)
    half = building.build(small.config(precision="mixed_bfloat16"))
    assert half.model.get_layer("conv1").compute_dtype == "bfloat16"
    run.steps.give_back(start)
    pixels, chosen = feed.pixels(run.images), epoch_of(run)
    (state, told), (exact, wanted) = (
        one.steps.epoch(one.steps.state(), pixels, chosen) for one in (half, run)
    )
    np.testing.assert_allclose(told["loss"], wanted["loss"], rtol=2e-2)
    assert (np.asarray(told["loss"]) != np.asarray(wanted["loss"])).all()
    for new, old in zip(state.trainable, exact.trainable, strict=True):
        assert new.dtype == old.dtype == "float32"


def test_an_update_that_is_skipped_changes_nothing_and_too_many_stop_the_run(run, start, tmp_path):
    run.steps.give_back(start)
    lost = run.steps.state()
    lost.trainable[0] = lost.trainable[0] * np.nan
    kept = [np.asarray(v) for v in lost.kept]
    state, told = run.steps.epoch(lost, feed.pixels(run.images), epoch_of(run))
    np.testing.assert_array_equal(told["skipped_in_a_row"], [1, 2, 3])
    for group, before in ((state.kept, kept), (state.trainable[1:], start.trainable[1:])):
        for new, old in zip(group, before, strict=True):
            np.testing.assert_array_equal(new, old)
    assert int(run.steps.read(state, "iterations")) == 0
    bad = start._replace(trainable=[start.trainable[0] * np.nan, *start.trainable[1:]])
    with pytest.raises(loop.Diverged, match="5 updates in a row, the last of them update 5:"):
        train(run, bad, tmp_path / "lost")
    assert len(pd.read_csv(tmp_path / "lost/metrics.csv")) == 2


def test_an_evaluation_is_of_the_examples_that_count_by_the_statistics_given(run, start):
    """A batch that does not divide the split; against the network itself."""
    run.steps.give_back(start)
    state, split = run.steps.state(), run.images.test
    found = run.steps.evaluate(state.trainable, state.kept, feed.examples(split, 100))
    x = feed.standardise(split.images, run.images.mean, run.images.deviation)
    logits = np.asarray(run.model(x, training=False), "float64")
    logits -= logits.max(1, keepdims=True)
    chosen = logits[np.arange(len(split)), split.labels]
    loss = np.mean(np.log(np.exp(logits).sum(1)) - chosen)
    assert float(found["loss"]) == pytest.approx(loss, rel=1e-5)
    assert float(found["accuracy"]) == pytest.approx(np.mean(logits.argmax(1) == split.labels))


@pytest.mark.slow
def test_precise_statistics_are_means_over_the_batches(run, start):
    """Of the first layer, whose inputs are the images."""
    run.steps.give_back(start)
    state, pixels, chosen = run.steps.state(), feed.pixels(run.images), epoch_of(run)
    found = run.steps.statistics(state, pixels, chosen)
    convolution = run.model.get_layer("conv1")
    means, variances = [], []
    for parts_of in zip(*chosen, strict=True):
        images, _ = feed.batch(pixels, feed.Choices(*parts_of), 1)
        x = feed.standardise(images, run.images.mean, run.images.deviation)
        ghosts = np.asarray(convolution(x), "float64").reshape(14, -1, 4)
        means.append(ghosts.mean(1).mean(0))
        variances.append(ghosts.var(1).mean(0))
    np.testing.assert_allclose(found[0], np.mean(means, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], np.mean(variances, 0), rtol=1e-4)
    assert run.model.get_layer("bn1").momentum == 0.9
    lost = [state.trainable[0] * np.nan, *state.trainable[1:]]
    for new, old in zip(
        run.steps.statistics(state._replace(trainable=lost), pixels, chosen),
        start.kept,
        strict=True,
    ):
        np.testing.assert_array_equal(new, old)
