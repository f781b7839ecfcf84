"""Rows by epoch, events read back by TensorBoard's own loader."""

import math
import re

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

import tf_bdecay
from tests.training.small import digits, fit, trainer
from tf_bdecay.errors import BadInput
from tf_bdecay.schedules import PolynomialWarmupDecay
from tf_bdecay.training.fitting.resume import Position
from tf_bdecay.training.records import report
from tf_bdecay.training.records.logs import (
    EpochRows,
    UpdateSummaries,
    describe_tag,
    last_learning_rate,
    shown_names,
)
from tf_bdecay.training.run_folder.workdir import Workdir


def test_a_row_an_epoch_says_what_fit_says(tmp_path):
    schedule = PolynomialWarmupDecay(0.02, 12)
    policy = tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.02)
    made = trainer(tf_bdecay.Lamb(schedule, weight_decay=policy))
    workdir = Workdir(tmp_path, {})
    rows = EpochRows(workdir, schedule, shown_names("validation"), 4, 64)
    x, y = digits()
    history = fit(made, [rows], validation_data=(x, y), validation_freq=[1, 3]).history
    rows.flush()
    frame = pd.read_csv(tmp_path / "metrics.csv")
    assert frame["epoch"].tolist() == [1, 2, 3]
    assert frame["update"].tolist() == [4, 8, 12]
    np.testing.assert_allclose(frame["loss"], history["loss"], rtol=1e-9)
    evaluated = frame["validation_accuracy"].dropna()
    np.testing.assert_allclose(evaluated, history["val_accuracy"], rtol=1e-9)
    assert evaluated.index.tolist() == [0, 2]
    rates = [float(schedule(t)) for t in (3, 7, 11)]
    np.testing.assert_allclose(frame["learning_rate"], rates, rtol=1e-6)
    expected = made.optimizer.totals()["decay_on_updates"].sum() / (2 * 12)
    assert frame["decay_on_fraction"].mean() == pytest.approx(expected)
    assert (frame["images_per_second"] > 0).all() and (frame["seconds"] > 0).all()


def test_the_share_of_decay_is_one_number_wherever_it_is_said(tmp_path):
    """In the row, in DecayLog and in the result: an update that is skipped is in none of them."""
    policy = tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.02)
    made = trainer(tf_bdecay.Lamb(0.02, weight_decay=policy))
    x, _ = digits()
    x[70] = np.nan  # in the second batch of four
    rows = EpochRows(Workdir(tmp_path, {}), lambda t: 0.02, shown_names("test"), 4, 64)
    log = tf_bdecay.callbacks.DecayLog(None, show=False)  # last: it adds to the logs
    history = fit(made, [rows, log], x=x, validation_data=digits()).history
    rows.flush()
    frame = pd.read_csv(tmp_path / "metrics.csv")
    totals = made.optimizer.totals()
    assert (totals["updates"], totals["skipped_updates"]) == (9, 3)
    np.testing.assert_allclose(frame["decay_on_fraction"], history["decay_on_fraction"])
    expected = totals["decay_on_updates"].sum() / (2 * 9)
    assert 0 < expected < 1
    assert frame["decay_on_fraction"].mean() == pytest.approx(expected)
    assert report.mechanism(made.optimizer)["decay_on_fraction"] == pytest.approx(expected)

    rows.on_epoch_begin(3)
    state = rows.get_state()
    assert (state["updates"], state["decay_on_updates"]) == (9, totals["decay_on_updates"].sum())
    for updates in (None, 7):  # None: a checkpoint of an earlier version
        kept = {} if updates is None else {"updates": updates}
        rows.set_state({"decay_on_updates": 5, "seconds": 1.0, **kept})
        assert rows.get_state()["updates"] == (updates or 9)


def at(path):
    path.mkdir()
    return Workdir(path, {})


def test_the_top5_accuracy_has_columns_of_training_and_evaluation(tmp_path):
    shown = shown_names("test", True, metrics=("accuracy", "top5_accuracy"))
    rows = EpochRows(at(tmp_path / "with"), None, shown, 4, 64)
    assert set(rows.table.columns) > {"top5_accuracy", "test_top5_accuracy_precise", "accuracy"}
    shown = shown_names("test", precise=True)
    without = EpochRows(at(tmp_path / "without"), None, shown, 4, 64)
    assert set(rows.table.columns) - set(without.table.columns) == {
        "top5_accuracy", "test_top5_accuracy_precise",
    }  # fmt: skip


def test_a_run_of_a_version_without_top5_accuracy_goes_on(tmp_path):
    workdir = Workdir(tmp_path, {})
    old = EpochRows(workdir, None, shown_names("test"), 4, 64)
    old.table.add(epoch=1, update=4, accuracy=0.5)
    old.flush()
    shown = shown_names("test", metrics=("accuracy", "top5_accuracy"))
    rows = EpochRows(workdir, None, shown, 4, 64, Position(update=6, epoch=1))
    rows.table.add(epoch=2, update=8, accuracy=0.75, top5_accuracy=1.0)
    rows.flush()
    frame = pd.read_csv(tmp_path / "metrics.csv")
    assert frame["accuracy"].tolist() == [0.5, 0.75]
    assert frame["top5_accuracy"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"seconds": 1.0},
        {"decay_on_updates": 3},
        {"decay_on_updates": -1, "seconds": 1.0},
        {"decay_on_updates": 2.5, "seconds": 1.0},
        {"decay_on_updates": 3, "seconds": -1.0},
        {"decay_on_updates": 3, "seconds": math.nan},
        {"decay_on_updates": 3, "seconds": math.inf},
        {"decay_on_updates": 3, "seconds": True},
        {"decay_on_updates": 3, "seconds": 1.0, "updates": -1},
        {"decay_on_updates": 3, "seconds": 1.0, "images": 4},
    ],
)
def test_a_state_of_the_rows_that_is_not_their_own_is_one_sentence(tmp_path, state):
    rows = EpochRows(Workdir(tmp_path, {}), None, shown_names("test"), 4, 64)
    with pytest.raises(BadInput, match="^The checkpoint is damaged .* Received: {") as error:
        rows.set_state(state)
    assert "\n" not in str(error.value)
    rows.set_state({"decay_on_updates": 3, "seconds": 1})


def load(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def scalars(accumulator, tag):
    """Pairs of step and value."""
    return [(e.step, tf.make_ndarray(e.tensor_proto).item()) for e in accumulator.Tensors(tag)]


def tags_of(accumulator):
    return set(accumulator.PluginTagToContent("scalars"))


def steps(accumulator, tag):
    return [step for step, _ in scalars(accumulator, tag)]


def watched_fit(path, every=2, steps_per_execution=1, epochs=2):
    """Four updates an epoch under a schedule, summarised."""
    schedule = PolynomialWarmupDecay(0.02, 4 * epochs, warmup=0.5)
    policy = tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.05)
    made = trainer(
        tf_bdecay.Lamb(schedule, weight_decay=policy), steps_per_execution=steps_per_execution
    )
    workdir = Workdir(path, {})
    workdir.open({})
    pages, shown = {"config": "    epochs = 2"}, shown_names("test", precise=True)
    summaries = UpdateSummaries(workdir, schedule, every, 4, pages=pages, shown=shown)
    x, y = digits()
    made.fit(
        x, y, batch_size=64, epochs=epochs, verbose=0, callbacks=[summaries],
        validation_data=(x, y),
    )  # fmt: skip
    summaries.flush()
    return made, workdir, schedule


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """What tests look at and do not change: the model, the workdir, the schedule."""
    return watched_fit(tmp_path_factory.mktemp("watched"))


@pytest.fixture(scope="module")
def in_twos(tmp_path_factory):
    """The same of executions of two updates each."""
    return watched_fit(tmp_path_factory.mktemp("in_twos"), every=3, steps_per_execution=2)


def test_every_layer_kind_and_adapted_variable_has_its_tag(watched):
    made, workdir, _ = watched
    accumulator = load(workdir.tensorboard)
    tags = tags_of(accumulator)
    for layer in ("norm_1", "norm_2"):
        for name in ("C_beta", "C_gamma", "r", "decay_on"):
            assert f"{name}/{layer}" in tags
    assert {"C/Conv", "C/gamma", "C/beta", "C/FC(w)", "C/FC(b)", "C/Total"} <= tags
    assert {"learning_rate", "decay_on_fraction", "epoch/loss", "epoch/accuracy"} <= tags
    ratios = {tag for tag in tags if tag.startswith("trust_ratio/")}
    assert ratios == {f"trust_ratio/{n}/kernel" for n in ("conv_1", "conv_2", "head")}
    assert steps(accumulator, "r/norm_1") == [2, 4, 6, 8]


def test_what_is_written_is_the_optimizers_decision(watched):
    made, workdir, schedule = watched
    decision = made.optimizer.decision()
    last = {tag: scalars(load(workdir.tensorboard), tag)[-1][1] for tag in ("r/norm_2", "C/Total")}
    assert last["r/norm_2"] == pytest.approx(decision.bias_ratio[1], rel=1e-6)
    assert last["C/Total"] == pytest.approx(decision.sensitivity.sum(), rel=1e-6)
    rows = pd.read_csv(workdir.path / "layers.csv")
    assert rows["update"].tolist() == [2, 2, 4, 4, 6, 6, 8, 8]
    end = rows[rows["update"] == 8].set_index("layer")
    np.testing.assert_allclose(end["r"], decision.bias_ratio, rtol=1e-6)
    np.testing.assert_allclose(end["r"], end["C_beta"] / end["C_gamma"], rtol=1e-5)
    np.testing.assert_array_equal(end["decay_on"].astype(bool), decision.decay_on)


def test_by_kind_adds_up_to_the_total(watched):
    _, workdir, _ = watched
    accumulator = load(workdir.tensorboard)
    kinds = [t for t in tags_of(accumulator) if t.startswith("C/") and t != "C/Total"]
    total = sum(scalars(accumulator, kind)[-1][1] for kind in kinds)
    assert total == pytest.approx(scalars(accumulator, "C/Total")[-1][1], rel=1e-5)


def test_the_learning_rate_is_that_of_the_update_it_stands_at(tmp_path):
    made, workdir, schedule = watched_fit(tmp_path, every=1)
    written = [rate for _, rate in scalars(load(workdir.tensorboard), "learning_rate")]
    np.testing.assert_allclose(written, [float(schedule(t)) for t in range(8)], rtol=1e-6)
    assert made.optimizer.totals()["learning_rate_sum"] == pytest.approx(sum(written), rel=1e-5)
    assert last_learning_rate(schedule, made.optimizer) == pytest.approx(written[-1])


def test_several_updates_an_execution_are_numbered_right(in_twos):
    _, workdir, _ = in_twos
    assert steps(load(workdir.tensorboard), "r/norm_1") == [4, 6]


def test_rows_that_are_lost_are_said_and_no_others(in_twos):
    made, workdir, schedule = in_twos
    table = workdir.path / "layers.csv"
    whole = table.read_text()

    def lost(update):
        start = Position(update, update // 4)
        return UpdateSummaries(workdir, schedule, 3, 4, start).lost(made)

    assert lost(8) == lost(4) == ""  # of updates 4 and 6, in executions that step over 3
    table.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    said = lost(8)
    table.write_text(whole)
    assert "layers.csv lacks rows of 1 of the 2 updates" in said


def test_precise_columns_are_named(tmp_path):
    shown = shown_names("test", precise=True)
    rows = EpochRows(Workdir(tmp_path, {}), PolynomialWarmupDecay(0.02, 12), shown, 4, 64)
    rows.table.add(epoch=1, update=4)
    rows.flush()
    columns = pd.read_csv(tmp_path / "metrics.csv").columns
    assert {"loss", "accuracy", "test_loss_precise", "test_accuracy_precise"} <= {*columns}
    assert "test_accuracy" not in columns


def test_columns_of_the_average_follow_those_of_the_weights(tmp_path):
    shown = shown_names("validation", precise=True, average=True)
    rows = EpochRows(Workdir(tmp_path, {}), PolynomialWarmupDecay(0.02, 12), shown, 4, 64)
    rows.table.add(epoch=1, update=4)
    rows.flush()
    columns = [*pd.read_csv(tmp_path / "metrics.csv").columns]
    first = columns.index("validation_accuracy_precise")
    averages = ["validation_loss_average", "validation_accuracy_average", "learning_rate"]
    assert columns[first + 1 : first + 4] == averages


def test_every_tag_has_a_description(watched):
    _, workdir, _ = watched
    accumulator = load(workdir.tensorboard)
    tags = tags_of(accumulator)
    assert "r_threshold" in tags and "epoch/test_loss_precise" in tags
    for tag in tags:
        said = accumulator.SummaryMetadata(tag).summary_description
        assert said == describe_tag(tag) and len(said) > 10, tag


@pytest.mark.parametrize(
    "tag, said",
    [
        ("epoch/loss", "loss of the training batches"),
        ("epoch/test_accuracy_precise", "accuracy on the test images, with precise statistics"),
        ("epoch/top5_accuracy", "top-5 accuracy of the training batches"),
        ("epoch/test_top5_accuracy", "top-5 accuracy on the test images, with moving statistics"),
        ("epoch/validation_loss", "loss on the validation images, with moving statistics"),
        (
            "epoch/test_loss_average",
            "loss on the test images, of the moving average of the weights",
        ),
        ("C/gamma", "summed over variables of a kind"),
        ("gradient_noise_scale", "the batch beyond which more examples stop paying"),
        ("epoch/gradient_noise_scale", "By epoch, at the number of its last update: N = S / |G|^2"),
        ("epoch/gradient_square", "squared norm of the gradient of all examples"),
        ("of a user's own", ""),
    ],
)
def test_a_description_says_what_is_drawn(tag, said):
    assert said in describe_tag(tag)


def test_charts_have_the_tags_that_belong_together(watched):
    _, workdir, _ = watched
    accumulator = load(workdir.tensorboard)
    tags = tags_of(accumulator)
    (event,) = accumulator.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    drawn = {
        chart.title: {t for t in tags for r in chart.multiline.tag if re.search(r, t)}
        for category in layout.category
        for chart in category.chart
    }
    assert drawn["r of every layer, against R"] == {"r/norm_1", "r/norm_2", "r_threshold"}
    assert drawn["loss, training beside evaluation"] == {"epoch/loss", "epoch/test_loss_precise"}
    assert drawn["accuracy, training beside evaluation"] == {
        "epoch/accuracy", "epoch/test_accuracy_precise"
    }  # fmt: skip
    assert all(drawn.values())
