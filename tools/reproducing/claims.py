"""The paper's claims, each with what was measured and a verdict."""

import math

from tools.reproducing import statistics

SHOWN, CONTRADICTED, NOT_SHOWN = "shown", "contradicted", "not shown"
LEVEL = 0.05
# Claim; table; row; quantity; the sign that the difference to `against` must have.
COMPARISONS = (
    ("A large batch loses accuracy", "table4", "large batch", "accuracy", -1),
    ("Decay of beta wins accuracy back", "table4", "large batch + beta decay", "accuracy", 1),
    ("Adaptive decay wins accuracy back", "table4", "large batch + adaptive", "accuracy", 1),
    ("Decay of beta lowers C(beta)", "table2", "beta decay 1.0", "C beta", -1),
    ("Decay of beta lowers C(gamma)", "table2", "beta decay 1.0", "C gamma", -1),
    ("Decay of beta lowers C of all", "table2", "beta decay 1.0", "C Total", -1),
    (
        "With decay of every parameter, log Tr(H) is higher at the small batch though accuracy is",
        "table1",
        "small batch, weight decay 0.005",
        "log Tr(H)",
        1,
    ),
)
UNTESTED = (
    "Tuned arms: large batch loses, decay of beta and adaptive decay add to a tuned baseline: the "
    "page of table4_tuned has the intervals; no verdict yet.",
    "No bias decay raises C and r: needs an arm with decay of every parameter: not tested.",
    "C(beta) rises, then falls: figure2 shows it; no test.",
    "Decay of gamma or of convolutions does not clearly lower their C: not tested.",
    "The gamma options make no difference: table3 has the intervals; no margin was stated.",
    "Adaptive decay beats fixed: 0.1 point needs about 30 seeds an arm: not tested.",
    "Freezing beta hurts convergence: table3 has the intervals; ImageNet was not run.",
    "C_m and Tr(H) correlate with accuracy, FR less: the figures print R^2 with intervals.",
    "C costs far less than Tr(H): each result has the seconds of both measures.",
    "Invariance of C: exact, in the tests of tf_bdecay/sharpness/rescaling.",
)


def judge(rows_by_table):
    """A verdict for each comparison and data set, Holm over all of them.

    Args:
        rows_by_table: dict of table name to `tables.rows`.

    Returns:
        List of dicts: claim, dataset, row, and `p_holm`, `verdict`.
    """
    found = [
        {"claim": claim, "sign": sign, "table": name, **row}
        for claim, name, label, quantity, sign in COMPARISONS
        for row in rows_by_table.get(name, ())
        if (row["row"], row["quantity"]) == (label, quantity)
    ]
    adjusted = statistics.holm([row["p"] for row in found])
    for row, p in zip(found, adjusted, strict=True):
        row["p_holm"] = p
        row["verdict"] = verdict(row["difference"], p, row["sign"])
    return found


def verdict(difference, p, sign):
    """Shown or contradicted where the adjusted p-value is below 0.05, by the difference's sign."""
    if math.isnan(p) or p >= LEVEL:
        return NOT_SHOWN
    return SHOWN if difference * sign > 0 else CONTRADICTED


def markdown(judged, scale):
    """The page of claims."""
    lines = [
        "# What holds",
        "",
        f"Made by `tools/reproduce.py` from the results of scale {scale.name}: {scale.words}. A "
        "claim is shown or contradicted where Holm's p over all rows is below 0.05 in a paired "
        "test over seeds; all else is not shown.",
        "",
        "| claim | data | difference [95 %] | pairs | p (Holm) | verdict |",
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
    return "\n".join([*lines, "", "Without a verdict:", "", *(f"* {s}" for s in UNTESTED), ""])
