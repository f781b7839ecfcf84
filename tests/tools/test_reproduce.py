"""tools/reproduce.py: the runs of a table, results that are kept, statistics on made data."""

import contextlib
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage.files import locked
from tools.reproducing import (
    beyond,
    claims,
    figures,
    page,
    plan,
    runner,
    runs,
    scales,
    statistics,
    store,
    tables,
    tuning,
    wanted,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMOKE = scales.get("smoke")


def reproduce(*arguments, backend="tensorflow"):
    return subprocess.run(
        [sys.executable, "tools/reproduce.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )


def result(run, accuracy, loss=1.0):
    more = {"status": store.DONE, "test_accuracy": accuracy, "test_loss": loss, "curves": {}}
    names = {"key": run.key, "seed": run.seed, "numerics": runs.NUMERICS, "label": run.label}
    return {**names, "config": run.flat, "measures": {}, **more}


def made_results(folder, arms, accuracy):
    """A store with 8 seeds of some arms, of given accuracies."""
    made = store.Store(folder)
    for arm in arms:
        for seed in range(8):
            run = runs.resolve(arm, SMOKE, seed)
            made.add(run, result(run, accuracy(arm, seed)))
    return made


def test_rows_are_chosen_by_their_labels(tmp_path):
    empty = store.Store(tmp_path)
    chosen, _ = plan.runs(["table4"], SMOKE, ("digits",), 2, empty, ["large batch + adaptive"])
    assert [(run.seed, run.arm.variant) for run in chosen] == [(0, "adaptive"), (1, "adaptive")]
    with pytest.raises(BadInput, match="Unknown row 'adaptive': .*large batch \\+ adaptive"):
        plan.runs(["table4"], SMOKE, ("digits",), 2, empty, ["adaptive"])
    with pytest.raises(BadInput, match="--row chooses among the rows of a table, and tuning has"):
        plan.runs(["tuning"], SMOKE, ("digits",), 2, empty, ["adaptive"])


def test_the_loss_of_smoothed_labels_is_not_called_crossentropy():
    plain = {"config": {"label_smoothing": 0.0}, "test_accuracy": 0.5, "test_loss": 1.0}
    smoothed = {**plain, "config": {"label_smoothing": 0.1}, "test_crossentropy": 0.75}
    assert tables.quantities(plain)["cross-entropy"] == 1.0
    assert tables.quantities(smoothed)["cross-entropy"] == 0.75


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "Name what to make"),
        (["tabel4"], "did you mean 'table4'?"),
        (["table4", "--scale=cpus"], "did you mean 'cpu'?"),
        (["table4", "--dataset=cifar10"], "Unknown dataset at scale smoke"),
        (["table4", "--seeds=0"], "--seeds must be more than 0"),
        (["table4", "--seed=1"], "did you mean '--seeds'?"),
        (["table4", "--precision=bf16"], "Unknown precision 'bf16'"),
        (["table4", "--precision=tf32"], "--precision=tf32 needs KERAS_BACKEND=jax"),
    ],
)
@pytest.mark.quick_rows(2)
def test_what_cannot_be_used_is_one_sentence(arguments, said, backend="tensorflow"):
    done = reproduce(*arguments, backend=backend)
    assert done.returncode == 2, done.stderr
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("reproduce.py: ") and said in sentence


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["tabel4"], "did you mean 'table4'?"),
        (["table3", "table2", "all"], "table2, all needs measures of sharpness"),
    ],
)
def test_under_jax_what_needs_tensorflow_is_one_sentence(arguments, said):
    test_what_cannot_be_used_is_one_sentence(arguments, said, "jax")


def test_results_of_another_precision_are_in_a_folder_of_their_own():
    made = [scales.get("smoke", precision) for precision in scales.PRECISIONS]
    assert [scale.folder for scale in made] == ["smoke", "smoke-tf32", "smoke-mixed_bfloat16"]
    assert made[1].flags == "--scale=smoke --precision=tf32"
    keys = [runs.resolve(wanted.Arm("digits"), scale, 0).key for scale in made]
    assert keys[0] == keys[1] != keys[2]


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
    waits = ("table5", "ImageNet"), ("table7", "`tuning_baselines`"), ("table6", "`tuning`")
    for name, said in waits:
        none, (sentence,) = plan.runs([name], SMOKE, ("digits",), 2, empty)
        assert none == [] and said in sentence


@pytest.mark.parametrize("scale", scales.SCALES)
def test_every_run_of_every_table_is_a_config_that_main_takes(scale):
    scale, empty = scales.get(scale), store.Store(pathlib.Path("nowhere"))
    made, _ = plan.runs(["all", "tuning_others"], scale, scale.datasets, 1, empty)
    assert len(made) > 20
    for dataset in scale.datasets:
        tuned = {
            (dataset, name): dict(next(iter(search.trials(dataset, scale, empty))).overrides)
            for name, search in tuning.SEARCHES.items()
        }
        for table in (beyond.table6([dataset], tuned), beyond.table7([dataset], tuned)):
            made += [runs.resolve(row.arm, scale, 0) for row in table.rows[dataset]]
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
    made.add(other, result(other, 0.5) | {"seed": 2})
    (tmp_path / "torn.json").write_text('{"key": ')
    old = result(other, 0.5) | {"numerics": 0, "key": runs.key(other.flat, 1, 0)}
    (tmp_path / "old.json").write_text(json.dumps(old))
    made.read()
    assert set(made.results) == {run.key}
    assert len(made.remarks) == 3
    assert {p.name for p in (tmp_path / "damaged").iterdir()} == {
        "torn.json",
        made.path(other).name,
    }
    assert [r.key for r in runner.missing([run, other, other], made)] == [other.key]


def test_a_known_effect_is_found_and_none_not_more_often_than_stated():
    random = np.random.default_rng(0)

    def found(effect, n=8):
        a, b = random.normal(effect, 0.5, n), random.normal(0, 0.5, n)
        return statistics.paired(dict(enumerate(a)), dict(enumerate(b)))

    none = [found(0.0) for _ in range(2000)]
    assert np.mean([t.p < 0.05 for t in none]) < 0.065
    assert np.mean([t.low <= 0 <= t.high for t in none]) > 0.935
    some = np.mean([found(1.0).p < 0.05 for _ in range(1000)])
    assert some == pytest.approx(statistics.power(1.0, math.sqrt(0.5), 8), abs=0.04)
    needed = statistics.seeds_needed(1.0, math.sqrt(0.5))
    assert statistics.power(1.0, math.sqrt(0.5), needed) >= 0.8
    assert statistics.power(1.0, math.sqrt(0.5), needed - 1) < 0.8


def test_holm_holds_its_rate_over_many_claims():
    assert statistics.holm([0.01, math.nan, 0.04, 0.03]) == pytest.approx(
        [0.03, math.nan, 0.06, 0.06], nan_ok=True
    )
    p = np.random.default_rng(1).uniform(size=(2000, 10))
    assert np.mean([min(statistics.holm(row)) < 0.05 for row in p]) < 0.065


def test_r_squared_has_an_interval_around_it():
    x = np.arange(9.0)
    noise = np.random.default_rng(2).normal(size=9)
    square, low, high = statistics.r_squared(x, x + noise)
    assert low < square < high <= 1
    assert square == pytest.approx(np.corrcoef(x, x + noise)[0, 1] ** 2)
    assert statistics.r_squared(x, 2 * x + 1)[0] == pytest.approx(1)
    assert math.isnan(statistics.r_squared(x, np.ones(9))[0])
    with pytest.raises(BadInput, match="three points"):
        statistics.r_squared(x[:2], x[:2])


def test_pages_are_made_of_results_alone_and_judge_by_them(tmp_path):
    table = wanted.table4(("digits",))
    lines = table.rows["digits"]
    gain = {("no_bias", "large"): -0.02, ("beta", "large"): 0.0, ("adaptive", "large"): -0.04}
    random = np.random.default_rng(3)
    made = made_results(
        tmp_path / "smoke",
        [line.arm for line in lines],
        lambda arm, seed: 0.9 + gain.get((arm.variant, arm.batch), 0.0) + random.normal(0, 0.002),
    )
    pages = tmp_path / "smoke" / "pages"
    pages.mkdir()
    (pages / "table7.md").write_text("of results that are gone")
    before = lines[0].arm.but(overrides={"decay.kernel": 0.5})  # no search tries it now
    tried = runs.resolve(before, SMOKE, runs.FIRST_TUNING_SEED)
    made.add(tried, result(tried, 0.7531))
    page.write(tmp_path, SMOKE, made.read())
    assert not (pages / "table7.md").exists()
    text = (tmp_path / "smoke" / "results.md").read_text()
    assert f"* {tried.label}: 75.31" in text
    rows = {
        (row["row"], row["quantity"], row["against"]): row
        for row in json.loads((pages / "table4.json").read_text())
    }
    row = rows["large batch", "accuracy", "small batch"]
    assert (row["n"], row["pairs"], row["against"]) == (8, 8, "small batch")
    assert row["low"] < -2 < row["high"] < 0
    verdicts = {
        line.split(" | ")[0][2:]: line.rsplit("**", 2)[1]
        for line in (pages / "claims.md").read_text().splitlines()
        if line.endswith("** |")
    }
    assert verdicts["A large batch loses accuracy (accuracy)"] == claims.SHOWN
    assert verdicts["A large batch loses accuracy (cross-entropy)"] == claims.NOT_SHOWN  # all 1
    assert verdicts["Decay of beta wins accuracy back (accuracy)"] == claims.SHOWN
    assert verdicts["Adaptive decay wins accuracy back (accuracy)"] == claims.CONTRADICTED
    assert verdicts["Adaptive decay beats fixed decay (accuracy)"] == claims.CONTRADICTED
    assert verdicts["Decay of beta lowers C(beta) (C beta)"] == claims.NOT_SHOWN
    assert "80 % power by" in (pages / "table4.md").read_text()
    assert "not run" in text


@pytest.mark.parametrize(
    "gain, spread, verdict",
    [(0.0, 0.1, claims.SHOWN), (0.0, 2.0, claims.NOT_SHOWN), (1.5, 0.1, claims.CONTRADICTED)],
)
def test_no_difference_is_shown_within_the_margin_alone(tmp_path, gain, spread, verdict):
    random, made = np.random.default_rng(5), store.Store(tmp_path)
    table = wanted.table3(("digits",))
    for row in table.rows["digits"]:
        for seed in range(6):
            run = runs.resolve(row.arm, SMOKE, seed)
            more = gain * (row.label == "gamma frozen") + random.normal(0, spread)
            made.add(run, result(run, 0.5 + more / 100))
    judged = claims.judge({"table3": tables.rows(table, SMOKE, made)})
    found = {row["claim"]: row["verdict"] for row in judged}
    assert found["Gamma frozen makes no difference"] == verdict


def test_correlations_and_costs_are_judged_over_runs():
    random, made = np.random.default_rng(6), []
    for i in range(24):
        accuracy = 0.5 + 0.01 * i
        log = {
            "C_m": -accuracy * 9 + random.normal(0, 0.1),
            "trace": -accuracy * 20,
            "FR": random.normal(),
        }
        measures = {name: {"total": math.exp(v)} for name, v in log.items()}
        measures["C"] = {"seconds": 1.0}
        measures["trace"]["seconds"] = 20.0 + random.normal()
        made.append({"status": store.DONE, "test_accuracy": accuracy, "measures": measures})
    found = {r["claim"]: r["verdict"] for r in claims.judge({}, [("digits", made)], made)}
    assert found["C_m correlates with accuracy more than FR"] == claims.SHOWN
    assert found["Tr(H) correlates with accuracy more than FR"] == claims.SHOWN
    assert found["C costs 5 times less than Tr(H)"] == claims.SHOWN
    for result_ in made:
        result_["measures"]["trace"]["seconds"] = 2.0 + random.normal(0, 0.1)
    found = {r["claim"]: r["verdict"] for r in claims.judge({}, (), made)}
    assert found["C costs 5 times less than Tr(H)"] == claims.CONTRADICTED


def test_figures_are_drawn_of_what_a_result_keeps(tmp_path):
    """Norms and C by variable, and the correlation that was put in, are in the picture."""
    made = store.Store(tmp_path)
    (table,) = plan.tables("figure2", ("digits",), {})
    row = table.rows["digits"][0]
    run = runs.resolve(row.arm, SMOKE, 0)
    curve = {"epoch": [1.0, 2.0], "norm": [1.0, 2.0], "C_m": [0.1, 0.2]}
    variables = {f"v{i}": {"kind": k, **curve} for i, k in enumerate(("beta", "gamma", "Conv"))}
    made.add(run, result(run, 0.5) | {"curves": {"variables": variables}})
    figure, lacks = figures.DRAWN["figure2"](table, SMOKE, made)
    assert lacks == ["beta decay 1.0: not run."]
    drawn = [line.get_ydata().tolist() for axis in figure.axes for line in axis.get_lines()]
    assert drawn == [[1.0, 2.0], [0.1, 0.2]] * 3


@pytest.mark.slow
def test_table4_and_figure1_are_trained_once(tmp_path):
    command = ["table4", "figure1", "--scale=smoke", f"--out={tmp_path}", "--jobs=2"]
    done = reproduce(*command)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "14 runs are needed, 14 are missing." in done.stdout
    for name in ("table4.md", "table4.csv", "figure1.png", "figure1.svg", "claims.md"):
        assert (tmp_path / "smoke" / "pages" / name).stat().st_size > 0
    again = reproduce(*command)
    assert "14 runs are needed, 0 are missing." in again.stdout


def begin(*arguments):
    """The tool, up to its first line of an epoch in a run's log: its process and that log."""
    command = [sys.executable, "-u", "tools/reproduce.py", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "aside"))
    (tmp_path / "aside").mkdir()
    command = ["figure4", "--scale=smoke", f"--out={tmp_path}"]
    first = begin(*command)
    configs = tmp_path.glob("aside/reproduce-*/*/run/checkpoints/*.npz")
    while (saved := next(configs, None)) is None and first.poll() is None:
        time.sleep(0.1)
        configs = tmp_path.glob("aside/reproduce-*/*/run/checkpoints/*.npz")
    assert saved is not None, first.communicate()
    first.send_signal(signal.SIGTERM)
    _, error = first.communicate(timeout=1200)
    assert first.returncode == 143 and "run the same command again" in error
    aside = str(tmp_path / "aside").encode()
    for line in pathlib.Path("/proc").glob("[0-9]*/cmdline"):  # its run ended before it did
        with contextlib.suppress(OSError):
            assert aside not in line.read_bytes()
    finished = len(store.Store(tmp_path / "smoke").read().results)
    done = reproduce(*command)
    assert done.returncode == 0 and f"{3 - finished} are missing." in done.stdout, done.stdout
    assert len(store.Store(tmp_path / "smoke").read().results) == 3, done.stdout
    assert not list(tmp_path.glob("aside/reproduce-*/*"))


def test_a_run_that_is_under_way_elsewhere_is_left_to_that(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "aside"))
    run, said = runs.resolve(wanted.Arm("digits"), SMOKE, 0), []
    made = runner.Runner(store.Store(tmp_path), say=said.append)
    folder = tmp_path / "aside" / f"reproduce-{os.getuid()}" / run.key
    folder.mkdir(parents=True)
    with locked(folder, "held by the test"):
        assert made.do([run]) == [run]
    assert len(said) == 1 and "is under way in another process" in said[0]
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]  # nothing was begun


@pytest.mark.slow
def test_under_jax_minutes_stop_a_run_which_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "aside"))
    (tmp_path / "aside").mkdir()
    command = ["figure2", "--scale=smoke", f"--out={tmp_path}", "--minutes=0.001"]
    said = ("Stopped after epoch 1 of 2", "1/6 runs, ")
    for piece, sentence in enumerate(said):
        done = reproduce(*command, backend="jax")
        assert done.returncode == 0, done.stderr + done.stdout
        assert sentence in done.stdout and said[1 - piece] not in done.stdout
        assert f"{6 - piece} runs are still missing" in done.stdout
    (found,) = store.Store(tmp_path / "smoke").read().results.values()
    assert found["backend"] == "jax" and found["measures"] == {} and found["status"] == store.DONE
    assert "TensorFlow" in found["unmeasured"] and "jax" in found["versions"]
    assert found["curves"]["epochs"]["epoch"] == [1, 2]
    assert len(found["curves"]["layers"]) == 20 and len(found["curves"]["variables"]) == 62
    assert not list(tmp_path.glob("aside/reproduce-*/*"))


def test_an_unfinished_run_of_another_config_is_begun_anew(tmp_path):
    run, said = runs.resolve(wanted.Arm("digits"), SMOKE, 0), []
    made = runner.Runner(store.Store(tmp_path), say=said.append)
    workdir = tmp_path / "run"
    for left, stays in ((run.flat, True), (run.flat | {"log.variables": False}, False)):
        workdir.mkdir(exist_ok=True)
        (workdir / "config.json").write_text(json.dumps(left))
        made._drop_what_cannot_go_on(run, workdir)
        assert workdir.exists() == stays
    assert len(said) == 1 and "begun anew" in said[0]
