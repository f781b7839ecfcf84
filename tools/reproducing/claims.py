"""The paper's claims, each with what was measured and a verdict."""

import dataclasses
import math

from tools.reproducing import statistics, store, tables, tuning

SHOWN, CONTRADICTED, NOT_SHOWN = "shown", "contradicted", "not shown"
NOT_RUN = "not run"
LEVEL = 0.05
MARGIN = 0.5  # points of accuracy, stated before any run: closer arms are called alike
CHEAPER = 5.0  # "far cheaper" is this many times


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A claim about a row of a table, less the row it is compared with.

    Attributes:
        claim: in words.
        table, row, against: where to look.
        quantity: of the row.
        sign: of the difference that the claim needs; 0 for a claim of no difference in accuracy.
        can_be_shown: whether it can show the paper's words; otherwise it can only contradict them.
    """

    claim: str
    table: str
    row: str
    against: str
    quantity: str = "accuracy"
    sign: int = 1
    can_be_shown: bool = True


_SMALL, _LARGE, _BETA, _ADAPTIVE = tuning.SMALL, tuning.LARGE, tuning.BETA, tuning.ADAPTIVE
_NONE = "no bias decay"
_GAINS = (
    ("A large batch loses accuracy", _LARGE, _SMALL, -1),
    ("Decay of beta makes up for some of it", _BETA, _LARGE, 1),
    ("Adaptive decay makes up for some of it", _ADAPTIVE, _LARGE, 1),
    ("Adaptive decay beats fixed decay", _ADAPTIVE, _BETA, 1),
)
COMPARISONS = (
    *(
        Comparison(f"{claim}{how}", table, row, against, quantity, sign * way)
        for table, how, gains in (
            ("table4", "", _GAINS),
            ("table4_tuned", ", every arm tuned", _GAINS),
            ("table4_added", ", at the tuned large batch's decay and peak", _GAINS[1:]),
            ("table5", ", at 32k", _GAINS),
        )
        for claim, row, against, sign in gains
        for quantity, way in (("accuracy", 1), ("cross-entropy", -1))
    ),
    Comparison(
        "No bias decay raises C", "table2", "weight decay on all", _NONE, "C Total", sign=-1
    ),
    Comparison("No bias decay raises r", "table2", "weight decay on all", _NONE, "r", sign=-1),
    *(
        Comparison(f"Decay of beta lowers {what}", "table2", "beta decay 1.0", _NONE, name, sign=-1)
        for what, name in (
            ("C(beta)", "C beta"),
            ("C(gamma)", "C gamma"),
            ("C of all", "C Total"),
            ("gamma", "sum of gamma"),
        )
    ),
    *(
        Comparison(
            f"Decay of {what} does not clearly lower its own C",
            "figure3",
            row,
            _NONE,
            quantity,
            sign=1,
            can_be_shown=False,
        )
        for what, row, quantity in (
            ("gamma (0.01)", "gamma decay 0.01", "C gamma"),
            ("gamma (1.0)", "gamma decay 1.0", "C gamma"),
            ("convolutions", "convolutions 1.0", "C Conv"),
        )
    ),
    *(
        Comparison(f"{row.capitalize()} makes no difference", "table3", row, _NONE, sign=0)
        for row in ("gamma frozen", "gamma decay 0.01")
    ),
    *(
        Comparison(
            f"Weight decay, with SGD at the small batch, {what}",
            "table1",
            "small batch, weight decay 0.005",
            "small batch, weight decay 0",
            quantity,
            sign,
        )
        for what, quantity, sign in (
            ("raises accuracy", "accuracy", 1),
            ("raises Tr(H) too, which misleads", "log Tr(H)", 1),
            ("raises lambda(H) too, which misleads", "log lambda(H)", 1),
            ("lowers C, which does not mislead", "C Total", -1),
        )
    ),
)
TABLES = {claim.table for claim in COMPARISONS}  # whose rows are judged
_UNTESTED = (
    "C(beta) rises, then falls: figure2 shows it; no test.",
    "Freezing beta hurts convergence: the paper saw it on ImageNet{}.",
    "Invariance of C: exact, in the tests of tf_bdecay/sharpness/rescaling.",
)


def judge(rows_by_table, scatters=(), results=()):
    """A verdict for each claim and data set.

    Holm's correction is over all claims that a p-value judges. A claim of no difference is judged
    by its interval alone: it has no p-value, and weakens no other claim.

    Args:
        rows_by_table: dict of table name to `tables.rows`.
        scatters: list of (what they are of, list of results), of the figures of sharpness and
            accuracy.
        results: the results whose costs are compared.

    Returns:
        List of dicts: claim, dataset, quantity, difference, low, high, pairs, `p_holm`, `verdict`.
    """
    found = []
    for claim in COMPARISONS:
        for row in rows_by_table.get(claim.table, ()):
            where = row["row"], row["against"], row["quantity"]
            if where == (claim.row, claim.against, claim.quantity):
                p = row["p"] if claim.sign else math.nan
                found.append({**row, "p": p, "claim": claim.claim, "judged": claim})
    for dataset, made in scatters:
        found += _correlations(dataset, made)
    found += _costs(results)
    adjusted = statistics.holm([row["p"] for row in found])
    for row, p in zip(found, adjusted, strict=True):
        row["p_holm"] = p
        row["verdict"] = _verdict(row, p)
    return found


def verdict(difference, p, sign):
    """Shown or contradicted where the adjusted p-value is below 0.05, by the difference's sign."""
    if math.isnan(p) or p >= LEVEL:
        return NOT_SHOWN
    return SHOWN if difference * sign > 0 else CONTRADICTED


def _verdict(row, p):
    claim = row["judged"]
    if not row["pairs"]:
        return NOT_RUN
    if claim.sign == 0:  # an interval of NaN is within nothing, and beyond nothing
        if row["low"] > -MARGIN and row["high"] < MARGIN:
            return SHOWN
        return CONTRADICTED if row["low"] > MARGIN or row["high"] < -MARGIN else NOT_SHOWN
    found = verdict(row.get("beyond", row["difference"]), p, claim.sign)
    return NOT_SHOWN if found == SHOWN and not claim.can_be_shown else found


def _correlations(dataset, made):
    """C_m and Tr(H) against the Fisher-Rao norm, and logarithms against the values themselves."""
    done = [
        r
        for r in made
        if all((r["measures"].get(n) or {}).get("total", 0) > 0 for n in ("C_m", "trace", "FR"))
    ]
    if len(done) < 4:
        return []
    accuracy = [r["test_accuracy"] for r in done]
    plain = {n: [r["measures"][n]["total"] for r in done] for n in ("C_m", "trace", "FR")}
    log = {n: [math.log(v) for v in values] for n, values in plain.items()}
    compared = {
        "C_m correlates with accuracy more than FR": (log["C_m"], log["FR"]),
        "Tr(H) correlates with accuracy more than FR": (log["trace"], log["FR"]),
        "log C_m correlates more than C_m": (log["C_m"], plain["C_m"]),
        "log Tr(H) correlates more than Tr(H)": (log["trace"], plain["trace"]),
    }
    rows = []
    for claim, (x, other) in compared.items():
        difference, low, high, p = statistics.r_squared_difference(x, other, accuracy)
        rows.append(_row(claim, dataset, "R^2", difference, low, high, p, len(done)))
    return rows


def _costs(results):
    """CPU seconds of Tr(H) over those of C, by logarithms, beyond a stated factor.

    Seconds by the clock, all that early results have, depend on what else the machine did.
    """
    pairs = [
        [(r.get("measures") or {}).get(name, {}).get("cpu_seconds") for name in ("trace", "C")]
        for r in results
        if r["status"] == store.DONE
    ]
    ratios = {i: math.log(trace / c) for i, (trace, c) in enumerate(pairs) if trace and c}
    if len(ratios) < 2:
        return []
    made = statistics.paired(ratios, dict.fromkeys(ratios, math.log(CHEAPER)))
    times = [CHEAPER * math.exp(v) for v in (made.difference, made.low, made.high)]
    row = _row(
        f"C costs {CHEAPER:g} times less than Tr(H)", "all", "CPU time", *times, made.p, made.n
    )
    return [row | {"beyond": made.difference}]


def _row(claim, dataset, quantity, difference, low, high, p, count):
    return {
        "claim": claim,
        "dataset": dataset,
        "quantity": quantity,
        "difference": difference,
        "low": low,
        "high": high,
        "p": p,
        "pairs": count,
        "judged": Comparison(claim, "", "", ""),
    }


def markdown(judged, scale, imagenet):
    """The page of claims.

    Args:
        judged: from `judge`.
        scale: the `Scale`.
        imagenet: whether there are runs on ImageNet.
    """
    run = "; table3 has the intervals"
    if not imagenet:
        run = f", which was not run{run} of CIFAR"
    lines = [
        "# What holds",
        "",
        f"Made by `tools/reproduce.py` from the results of scale {scale.name}: {scale.words}. A "
        "claim is shown or contradicted where its p-value, from a paired test over seeds "
        "(bootstrap over runs for R^2), is below 0.05 after Holm's correction over all rows with a "
        "p-value. A claim of no difference has none: it is shown where the interval lies within "
        f"{MARGIN:g} points of accuracy, which was stated beforehand, and contradicted where it "
        "lies beyond. All else is not shown. That adaptive decay beats fixed decay by 0.1 point "
        "would need some 30 seeds an arm.",
        "",
        "| claim | data | difference [95 %] | n | p (Holm) | verdict |",
        "|---|---|---|---|---|---|",
    ]
    left = {}
    for row in judged:
        if row["verdict"] == NOT_RUN:
            left.setdefault(row["dataset"], []).append(f"{row['claim']} ({row['quantity']})")
            continue
        size = f"{row['difference']:+.3g}"
        if not math.isnan(row["low"]):
            size += f" [{row['low']:+.3g}, {row['high']:+.3g}]"
        p = "" if math.isnan(row["p_holm"]) else f"{row['p_holm']:.3g}"
        lines.append(
            f"| {row['claim']} ({row['quantity']}) | {row['dataset']} | {size} | {row['pairs']} | "
            f"{p} | **{row['verdict']}** |"
        )
    lines += ["", "Without a verdict:", "", *(f"* {s.format(run)}" for s in _UNTESTED)]
    lines += [f"* Not run on {dataset}: {'; '.join(names)}." for dataset, names in left.items()]
    return "\n".join([*lines, ""])


def scattered(table, scale, results):
    """Results with measures of the arms of a figure of sharpness against accuracy."""
    (lines,) = table.rows.values()
    made = [tables.results_of(line.arm, scale, results).values() for line in lines]
    return [r for rs in made for r in rs if r["status"] == store.DONE and r.get("measures")]
