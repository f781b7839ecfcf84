"""What is published of results is what the result files say: it changes as runs come in."""

import json
import pathlib
import re

import pytest

from tools.reproducing import tuning

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ROOT / "results" / "cpu" / "pages"
RESULTS = (ROOT / "docs" / "results.md").read_text()
ARMS = (tuning.SMALL, tuning.LARGE, tuning.BETA, tuning.ADAPTIVE)
ADDED = ", at the tuned large batch's decay and peak"
# What docs/results.md says of p-values after correction, in its order, and of which claims.
P_VALUES = (
    ("p =\n{} after the", f"Decay of beta makes up for some of it{ADDED} (accuracy)"),
    ("*not shown* (p = {}). That", f"Adaptive decay makes up for some of it{ADDED} (accuracy)"),
    ("loses accuracy (p = {})", "A large batch loses accuracy (accuracy)"),
    ("[0.36, 1.13] (p = {}), and", "Adaptive decay makes up for some of it (accuracy)"),
    ("fixed decay (p = {}) and", "Decay of beta makes up for some of it (cross-entropy)"),
    ("adaptive decay (p = {}) lower", "Adaptive decay makes up for some of it (cross-entropy)"),
    ("*not shown* (p = {}): it", "Decay of beta makes up for some of it (accuracy)"),
)


def rows(table):
    """Dict of (arm, quantity, compared with) to a row on CIFAR-100."""
    found = json.loads((PAGES / f"{table}.json").read_text())
    found = [row for row in found if row["dataset"] == "cifar100"]
    return {(row["row"], row["quantity"], row["against"]): row for row in found}


def means(found, arm):
    """Accuracy and cross-entropy as texts: mean and deviation."""
    accuracy, crossentropy = (
        next(row for (name, what, _), row in found.items() if (name, what) == (arm, quantity))
        for quantity in ("accuracy", "cross-entropy")
    )
    return (
        f"{accuracy['mean']:.2f} +- {accuracy['sd']:.2f}",
        f"{crossentropy['mean']:.3f} +- {crossentropy['sd']:.3f}",
    )


def difference(found, arm, against):
    """The difference in accuracy as a text; empty where the two are not compared."""
    row = found.get((arm, "accuracy", against))
    return row and f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]" or ""


@pytest.mark.parametrize(
    "table, begins", [("table4_added", "Then `table4_added`"), ("table4", "(`table4`)")]
)
def test_the_tables_of_the_text_are_those_of_the_results(table, begins):
    lines = RESULTS.partition(begins)[2].partition("|---|")[2].splitlines()[1:5]
    said = [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines]
    found = rows(table)
    assert said == [
        [
            *means(found, arm),
            difference(found, arm, tuning.LARGE),
            difference(found, arm, tuning.SMALL),
        ]
        for arm in ARMS
    ]


def test_the_first_page_and_the_config_have_the_same_numbers():
    found = rows("table4_added")
    for file in ("README.md", "configs/cifar100_small_resnet18.py"):
        text = (ROOT / file).read_text()
        for arm in ARMS:
            assert means(found, arm)[0] in text, (file, arm)


def test_corrected_p_values_are_those_of_the_claims():
    cells = [row.split("|") for row in (PAGES / "claims.md").read_text().splitlines()]
    p = {c[1].strip(): c[5].strip() for c in cells if len(c) == 8}
    for template, claim in P_VALUES:
        assert template.format(p[claim]) in RESULTS, (claim, p[claim])
    assert len(re.findall(r"\bp\s=\s0", RESULTS)) == len(P_VALUES)
