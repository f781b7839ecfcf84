"""The paper's claims, each with what was measured and a verdict."""

import dataclasses
import math

from tools.reproducing import statistics, store, tables, tuning

SHOWN, CONTRADICTED, NOT_SHOWN = "shown", "contradicted", "not shown"
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
        shows: whether the paper's words can be shown by it, or contradicted alone.
    """

    claim: str
    table: str
    row: str
    against: str
    quantity: str = "accuracy"
    sign: int = 1
    shows: bool = True


_SMALL, _LARGE, _BETA, _ADAPTIVE = tuning.SMALL, tuning.LARGE, tuning.BETA, tuning.ADAPTIVE
_NONE = "no bias decay"
_GAINS = (
    ("A large batch loses accuracy", _LARGE, _SMALL, -1),
    ("Decay of beta wins accuracy back", _BETA, _LARGE, 1),
    ("Adaptive decay wins accuracy back", _ADAPTIVE, _LARGE, 1),
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
            shows=False,
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
    Comparison(
        "With decay of every parameter log Tr(H) is higher though accuracy is",
        "table1",
        "small batch, weight decay 0.005",
        "small batch, weight decay 0",
        "log Tr(H)",
    ),
)
TABLES = {claim.table for claim in COMPARISONS}  # whose rows are judged
_UNTESTED = (
    "C(beta) rises, then falls: figure2 shows it; no test.",
    "Freezing beta hurts convergence: the paper saw it on ImageNet{}.",
    "Invariance of C: exact, in the tests of tf_bdecay/sharpness/rescaling.",
)


def judge(rows_by_table, scatters=(), results=()):
    """A verdict for each claim and data set, Holm over all of them.

    Args:
        rows_by_table: dict of table name to `tables.rows`.
        scatters: list of (data set, list of results), of the figures of sharpness and accuracy.
        results: the results whose costs are compared.

    Returns:
        List of dicts: claim, dataset, quantity, difference, low, high, pairs, `p_holm`, `verdict`.
    """
    found = []
    for claim in COMPARISONS:
        for row in rows_by_table.get(claim.table, ()):
            where = row["row"], row["against"], row["quantity"]
            if where == (claim.row, claim.against, claim.quantity):
                found.append({**row, "claim": claim.claim, "judged": claim})
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
    if claim.sign == 0:
        if row["pairs"] < 2:
            return NOT_SHOWN
        if row["low"] > -MARGIN and row["high"] < MARGIN:
            return SHOWN
        return CONTRADICTED if row["low"] > MARGIN or row["high"] < -MARGIN else NOT_SHOWN
    found = verdict(row.get("beyond", row["difference"]), p, claim.sign)
    return NOT_SHOWN if found == SHOWN and not claim.shows else found


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
    """Seconds of Tr(H) over those of C, by logarithms, beyond a stated factor."""
    ratios = {
        i: math.log(r["measures"]["trace"]["seconds"] / r["measures"]["C"]["seconds"])
        for i, r in enumerate(results)
        if r["status"] == store.DONE and {"C", "trace"} <= set(r.get("measures") or ())
    }
    if len(ratios) < 2:
        return []
    made = statistics.paired(ratios, dict.fromkeys(ratios, math.log(CHEAPER)))
    times = [CHEAPER * math.exp(v) for v in (made.difference, made.low, made.high)]
    row = _row(
        f"C costs {CHEAPER:g} times less than Tr(H)", "all", "seconds", *times, made.p, made.n
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
        "claim is shown or contradicted where Holm's p over all rows is below 0.05 in a paired "
        "test over seeds (bootstrap over runs for R^2); a claim of no difference is shown where "
        f"the interval lies within {MARGIN:g} points of accuracy, which was stated beforehand; all "
        "else is not shown. That adaptive decay beats fixed decay by 0.1 point would need some 30 "
        "seeds an arm.",
        "",
        "| claim | data | difference [95 %] | n | p (Holm) | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for row in judged:
        known = row["pairs"] > 1
        size = f"{row['difference']:+.3g}" if row["pairs"] else "not run"
        size += f" [{row['low']:+.3g}, {row['high']:+.3g}]" if known else ""
        p = f"{row['p_holm']:.3g}" if known else ""
        lines.append(
            f"| {row['claim']} ({row['quantity']}) | {row['dataset']} | {size} | {row['pairs']} | "
            f"{p} | **{row['verdict']}** |"
        )
    return "\n".join(
        [*lines, "", "Without a verdict:", "", *(f"* {s.format(run)}" for s in _UNTESTED), ""]
    )


def scattered(table, scale, results):
    """Results with measures of the arms of a figure of sharpness against accuracy."""
    (lines,) = table.rows.values()
    made = [tables.results_of(line.arm, scale, results).values() for line in lines]
    return [r for rs in made for r in rs if r["status"] == store.DONE and r.get("measures")]
