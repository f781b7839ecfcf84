"""TensorBoard's own loader reads back the decisions of every k-th update."""

import re

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

import tf_bdecay
from tests.training.small import digits, trainer
from tf_bdecay.schedules import PolynomialWarmupDecay
from tf_bdecay.training.fitting.counts_updates import Position
from tf_bdecay.training.records.epoch_rows import last_learning_rate
from tf_bdecay.training.records.names import describe_tag, shown_names
from tf_bdecay.training.records.update_summaries import UpdateSummaries
from tf_bdecay.training.run_folder.workdir import Workdir


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


def test_every_tag_has_a_description(watched):
    _, workdir, _ = watched
    accumulator = load(workdir.tensorboard)
    tags = tags_of(accumulator)
    assert "r_threshold" in tags and "epoch/test_loss_precise" in tags
    for tag in tags:
        said = accumulator.SummaryMetadata(tag).summary_description
        assert said == describe_tag(tag) and len(said) > 10, tag


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
