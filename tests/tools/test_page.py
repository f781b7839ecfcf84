"""Tables, figures and claims are made from results alone: statistics on made-up data."""

import json
import math

import numpy as np
import pytest

from tests.tools.made_results import SMOKE, made_results, result
from tf_bdecay.errors import BadInput
from tools.reproducing import claims, page, plan, runs, scales, statistics, store, tables, wanted


def test_the_loss_of_smoothed_labels_is_not_called_crossentropy():
    plain = {"config": {"label_smoothing": 0.0}, "test_accuracy": 0.5, "test_loss": 1.0}
    smoothed = {**plain, "config": {"label_smoothing": 0.1}, "test_crossentropy": 0.75}
    assert tables.quantities(plain)["cross-entropy"] == 1.0
    assert tables.quantities(smoothed)["cross-entropy"] == 0.75


def test_what_is_frozen_has_no_c_and_no_ratio():
    run = runs.resolve(wanted.Arm("digits"), SMOKE, 0)
    for kinds, ratio in (
        ({"beta": 1.0, "gamma": 4.0}, 0.25),
        ({"gamma": 4.0}, None),
        ({"beta": 1.0}, None),
        ({"beta": 1.0, "gamma": 0.0}, None),
    ):
        measures = {"C": {"total": 9.0, "by_kind": kinds}}
        found = tables.quantities({**result(run, 0.5), "measures": measures})
        assert found.get("r") == ratio and found["C"] == 9.0


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


def test_differences_that_are_all_equal_say_nothing_of_their_spread():
    made = statistics.paired({0: 50.0, 1: 51.0}, {0: 49.0, 1: 50.0})
    assert made.difference == 1 and math.isnan(made.p) and math.isnan(made.low)
    dust = statistics.paired({0: 0.1 + 0.2, 1: 0.3}, {0: 0.02, 1: 0.02})  # 0.28 but for rounding
    assert dust.deviation > 0 and math.isnan(dust.p)


def test_a_bootstrap_has_no_p_value_below_its_resolution():
    x, noise = np.arange(9.0), np.random.default_rng(4).normal(size=9)
    difference, low, _, p = statistics.r_squared_difference(x, noise, x)
    assert low > 0 and difference > 0.5
    assert p == pytest.approx(2 / 10_001)  # no draw is on the other side
    assert statistics.r_squared_difference(noise, x, x)[3] == p
    assert statistics.r_squared_difference(x, 2 * x, x + noise)[3] == 1.0


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
    assert verdicts["Decay of beta makes up for some of it (accuracy)"] == claims.SHOWN
    assert verdicts["Adaptive decay makes up for some of it (accuracy)"] == claims.CONTRADICTED
    assert verdicts["Adaptive decay beats fixed decay (accuracy)"] == claims.CONTRADICTED
    assert not any("lowers C(beta)" in claim for claim in verdicts)  # which was not run
    assert "Decay of beta lowers C(beta) (C beta);" in (pages / "claims.md").read_text()
    assert "80 % power by" in (pages / "table4.md").read_text()
    assert "not run" in text


def test_that_imagenet_was_not_run_is_said_only_where_it_was_not(tmp_path):
    made = store.Store(tmp_path / "smoke")
    (arm, *_) = (row.arm for row in wanted.table5(("imagenet",)).rows["imagenet"])
    for never in (True, False):
        page.write(tmp_path, SMOKE, made)
        said = [
            (tmp_path / "smoke" / name).read_text() for name in ("results.md", "pages/claims.md")
        ]
        assert ("ImageNet was never here" in said[0]) == never
        assert ("the paper saw it on ImageNet, which was not run;" in said[1]) == never
        run = runs.resolve(arm, SMOKE, 0)
        made.add(run, result(run, 0.5))


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
    found = tables.rows(table, tables.read(table, SMOKE, made))
    judged = claims.judge({"table3": found})
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
        measures["C"] = {"cpu_seconds": 1.0}
        measures["trace"]["cpu_seconds"] = 20.0 + random.normal()
        made.append({"status": store.DONE, "test_accuracy": accuracy, "measures": measures})
    found = {r["claim"]: r["verdict"] for r in claims.judge({}, [("digits", made)], made)}
    assert found["C_m correlates with accuracy more than FR"] == claims.SHOWN
    assert found["Tr(H) correlates with accuracy more than FR"] == claims.SHOWN
    assert found["C costs 5 times less than Tr(H)"] == claims.SHOWN
    for result_ in made:
        result_["measures"]["trace"]["cpu_seconds"] = 2.0 + random.normal(0, 0.1)
    found = {r["claim"]: r["verdict"] for r in claims.judge({}, (), made)}
    assert found["C costs 5 times less than Tr(H)"] == claims.CONTRADICTED


def test_figures_are_drawn_of_what_a_result_keeps(tmp_path):
    """Norms and C by variable, and the correlation that was put in, are in the picture."""
    made = store.Store(tmp_path)
    table = plan.table("figure2", ("digits",), {})
    base, beta = (runs.resolve(row.arm, SMOKE, 0) for row in table.rows["digits"][:2])
    curve = {"epoch": [1.0, 2.0], "norm": [1.0, 2.0], "C_m": [0.1, 0.2]}
    variables = {f"v{i}": {"kind": k, **curve} for i, k in enumerate(("beta", "gamma", "Conv"))}
    curves = {"curves": {"variables": variables}}
    made.add(base, result(base, 0.5) | curves)
    draw = plan.MADE["figure2"].draw
    assert draw(table, SMOKE, made) is None  # one arm alone shows no difference
    made.add(beta, {**result(beta, 0.5), **curves, "status": store.FAILED, "reason": "diverged"})
    assert draw(table, SMOKE, made) is None
    made.add(beta, result(beta, 0.5) | curves)
    figure, lacks = draw(table, SMOKE, made)
    assert lacks == []
    drawn = [line.get_ydata().tolist() for axis in figure.axes for line in axis.get_lines()]
    assert drawn == [y for y in ([1.0, 2.0], [0.1, 0.2]) * 3 for _ in range(2)]


def test_the_committed_pages_are_those_of_the_committed_results(tmp_path):
    """Whoever adds a result file makes the pages anew."""
    root, scale = runs.ROOT / "results", scales.get("cpu")
    results = store.Store(root / scale.folder).read()
    assert not results.remarks
    page.write(tmp_path, scale, results)
    for made in sorted((tmp_path / scale.folder).rglob("*.md")):
        committed = root / made.relative_to(tmp_path)
        assert committed.read_text() == made.read_text(), f"{committed}: reproduce.py pages"
