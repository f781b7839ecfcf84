"""Which runs the tables, figures and searches need, and which results count as theirs."""

import json
import pathlib

import numpy as np
import pytest

from tests.tools.made_results import SMOKE, result
from tf_bdecay.errors import BadInput
from tf_bdecay.storage.files import json_ready
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training_command import command_line
from tools.reproducing import beyond, plan, runner, runs, scales, store, tuning, wanted


def test_rows_are_chosen_by_their_labels(tmp_path):
    empty = store.Store(tmp_path)
    chosen, _ = plan.runs(["table4"], SMOKE, ("digits",), 2, empty, ["large batch + adaptive"])
    assert [(run.seed, run.arm.variant) for run in chosen] == [(0, "adaptive"), (1, "adaptive")]
    with pytest.raises(BadInput, match="Unknown row 'adaptive': .*large batch \\+ adaptive"):
        plan.runs(["table4"], SMOKE, ("digits",), 2, empty, ["adaptive"])
    with pytest.raises(BadInput, match="--row chooses among the rows of a table, and tuning has"):
        plan.runs(["tuning"], SMOKE, ("digits",), 2, empty, ["adaptive"])


def test_a_key_is_of_what_differs_from_defaults_of_the_seed_and_of_the_numerics():
    run = runs.resolve(wanted.Arm("digits"), SMOKE, 0)
    assert run.flat["data.images"] is None
    without = {k: v for k, v in run.flat.items() if k != "data.images"}  # before the key was there
    assert runs.key(without, 0) == run.key
    assert runs.key(run.flat | {"log.evaluate_every": 7}, 0) == run.key
    others = {
        runs.key(run.flat | {"data.images": 100}, 0),
        runs.key(run.flat, 1),
        runs.key(run.flat, 0, runs.NUMERICS + 1),
    }
    assert len(others | {run.key}) == 4


def test_tables_share_runs_and_those_that_wait_say_so():
    empty = store.Store(pathlib.Path("nowhere"))
    apart = [plan.runs([name], SMOKE, ("digits",), 2, empty)[0] for name in ("table3", "table4")]
    both, _ = plan.runs(["table3", "table4"], SMOKE, ("digits",), 2, empty)
    assert len(both) == sum(map(len, apart)) - 2 * 2  # no bias decay and beta decay, two seeds
    waits = ("table5", "--source=DIR"), ("table7", "`tuning_baselines`"), ("table6", "`tuning`")
    for name, said in waits:
        none, (sentence,) = plan.runs([name], SMOKE, ("digits",), 2, empty)
        assert none == [] and said in sentence


def test_pages_show_every_data_set_of_which_there_may_be_results():
    both = ("cifar10", "cifar100")
    assert list(plan.table("table2", both, {}).rows) == ["cifar10"]  # trained unless asked
    (table,) = plan.shown("table2", (*both, "imagenet"), {}).values()
    assert list(table.rows) == list(both)
    papers = {
        dataset: [row.more["C Total"] for row in rows] for dataset, rows in table.rows.items()
    }
    assert papers == {"cifar10": [0.334, 0.204, None], "cifar100": [None] * 3}
    files = {file: list(table.rows) for file, table in plan.shown("figure2", both, {}).items()}
    assert files == {"figure2": ["cifar10"], "figure2-cifar100": ["cifar100"]}
    assert list(plan.shown("figure5", both, {})) == ["figure5"]  # the paper has both


def test_imagenet_has_table_5_and_a_column_of_table_3_alone():
    paper, empty = scales.get("paper"), store.Store(pathlib.Path("nowhere"))
    made, waiting = plan.runs(["table3", "table4", "table5"], paper, ("imagenet",), 1, empty)
    assert waiting == ["table4 is not of imagenet."]
    assert {(run.arm.model, run.flat["batch_size"], run.flat["epochs"]) for run in made} == {
        ("resnet50", 32_768, 90),
        ("resnet50_d", 32_768, 90),
        ("resnet50_d", 1024, 90),
    }
    assert len(made) == 6 + 4 and all(run.pictures for run in made)
    small, large = (r for r in made if (r.arm.model, r.arm.variant) == ("resnet50_d", "no_bias"))
    assert small.flat == large.flat | {"batch_size": 1024}  # peak by the square-root rule


@pytest.mark.parametrize("scale", scales.SCALES)
def test_every_run_of_every_table_is_a_config_that_main_takes(scale):
    scale, empty = scales.get(scale), store.Store(pathlib.Path("nowhere"))
    made, _ = plan.runs(["all", "tuning_others"], scale, scale.all_datasets, 1, empty)
    assert len(made) > 20
    for dataset in scale.datasets:
        tuned = {
            (dataset, name): dict(next(iter(search.trials(dataset, scale, empty))).overrides)
            for name, search in tuning.SEARCHES.items()
        }
        for table in (beyond.table6([dataset], tuned), beyond.table7([dataset], tuned)):
            made += [runs.resolve(row.arm, scale, 0) for row in table.rows[dataset]]
    trains = runner.Runner(empty)
    for run in made:  # the command line refuses more than a config's check does
        said = command_line.parse(trains.arguments(run, "w"), runs.ROOT)
        assert json_ready(flatten(said.config)) == run.flat
    found = {run.key: run.label for run in made}
    # The bases of tables 6 and 7, and decay of beta, which the first trials of its search have too.
    assert len(found) >= len(made) - 4 * len(scale.datasets)


def test_a_search_tries_decays_then_peaks_and_baselines_before_all_else(tmp_path):
    made, datasets = store.Store(tmp_path), ("digits",)
    searches = (*tuning.BASELINES, *tuning.TREATMENTS)
    best = {"large": (0.8, 0.08), "small": (12.8, 0.64)}  # the second lies beyond the first values
    rounds = []
    while wanted_now := tuning.runs(searches, datasets, SMOKE, made):
        rounds.append([run for run in wanted_now if made.of(run) is None])
        for run in rounds[-1]:
            right = np.log2(best[run.arm.batch])
            point = np.log2([run.flat["decay.kernel"], run.flat["learning_rate.base_peak"]])
            made.add(run, result(run, 0.9 - 0.01 * abs(point - right).sum()))
    # Of the small batch: 12.8, 51.2 (worse), then 0.32, 0.64, 1.28 (worse) after the first peaks.
    assert [len(r) for r in rounds] == [6, 3, 1, 2, 1, 1, 1, 6, 4]
    assert {run.arm.variant for r in rounds[:-2] for run in r} == {"no_bias"}
    assert all(run.seed >= runs.FIRST_TUNING_SEED for r in rounds for run in r)
    found = tuning.tuned(datasets, SMOKE, made)
    for name in (tuning.LARGE, tuning.BETA, tuning.SMALL):
        batch = "small" if name == tuning.SMALL else "large"
        overrides = found["digits", name]
        point = overrides["decay.kernel"], overrides["learning_rate.base_peak"]
        assert point == best[batch]
        search = tuning.SEARCHES[name]
        assert not search.at_edge(search.trials("digits", SMOKE, made))
    assert found["digits", tuning.BETA]["decay.bias"] == 0.8
    for table in (wanted.table4_tuned(datasets, found), wanted.table4_added(datasets, found)):
        labels = [row.label for row in table.rows["digits"]]
        assert labels == [tuning.SMALL, tuning.LARGE, tuning.BETA, tuning.ADAPTIVE]


def test_a_search_that_never_ends_stops_and_says_that_it_is_at_the_edge(tmp_path):
    made, (search, *_) = store.Store(tmp_path), tuning.BASELINES
    while search.found("digits", SMOKE, made) is None:
        for arm in search.trials("digits", SMOKE, made):
            run = runs.resolve(arm, SMOKE, runs.FIRST_TUNING_SEED)
            made.add(run, result(run, 1 / (2 + run.flat["decay.kernel"])))
    trials = search.trials("digits", SMOKE, made)
    assert len(trials) == 5 + tuning.EXTENSIONS and search.at_edge(trials)
    assert search.found("digits", SMOKE, made)["decay.kernel"] == 0.003125


def test_decay_of_beta_is_added_at_the_decay_and_peak_of_the_large_batch_without_it():
    large, small = (
        {"decay.kernel": k, "learning_rate.base_peak": p} for k, p in ((0.8, 0.16), (3.2, 0.08))
    )
    tuned = {("digits", tuning.LARGE): large, ("digits", tuning.SMALL): small}
    rows = {row.label: row.arm for row in wanted.table4_added(("digits",), tuned).rows["digits"]}
    assert dict(rows[tuning.SMALL].overrides) == small
    for name in (tuning.BETA, tuning.ADAPTIVE):
        assert dict(rows[name].overrides) == large | {"decay.bias": 0.8}


def test_damaged_and_foreign_results_are_named_and_not_used(tmp_path):
    run, other = (runs.resolve(wanted.Arm("digits"), SMOKE, seed) for seed in (0, 1))
    made = store.Store(tmp_path)
    made.add(run, result(run, 0.5))
    assert made.read().of(run)["test_accuracy"] == 0.5 and not made.remarks
    (tmp_path / "torn.json").write_text('{"key": ')
    old = result(other, 0.5) | {"numerics": 0, "key": runs.key(other.flat, 1, 0)}
    (tmp_path / "old.json").write_text(json.dumps(old))
    renamed = result(other, 0.5) | {"config": other.flat | {"decay.cernel": 0.1}}
    (tmp_path / "renamed.json").write_text(json.dumps(renamed))
    changed = result(other, 0.5) | {"seed": 2}
    made.path(other).write_text(json.dumps(changed))
    made.read()
    assert set(made.results) == {run.key}
    assert sorted(remark.split(" ")[0] for remark in made.remarks) == [
        made.path(other).name,
        "old.json",
        "renamed.json",
        "torn.json",
    ]
    assert [p.name for p in (tmp_path / "damaged").iterdir()] == ["torn.json"]
    assert [r.key for r in made.missing([run, other, other])] == [other.key]
    made.add(other, result(other, 0.25))
    assert json.loads((tmp_path / "damaged" / made.path(other).name).read_text()) == changed
    assert made.read().of(other)["test_accuracy"] == 0.25
