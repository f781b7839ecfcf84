"""A table from results alone: the paper's number beside ours, and each comparison's interval."""

import csv
import io
import math

from tools.reproducing import runs, statistics, store

_COMPARED = ("accuracy", "cross-entropy")


def results_of(arm, scale, results):
    """Dict of seed to result, of the seeds of an arm that are there (not those of tuning)."""
    flat = runs.resolve(arm, scale, 0).flat  # a key takes all of it but the seed
    keys = {seed: runs.key(flat, seed) for seed in range(runs.MOST_SEEDS)}
    return {seed: results.results[key] for seed, key in keys.items() if key in results.results}


def quantities(result):
    """Dict of name to number of what tables show of a result.

    Accuracy and cross-entropy are of the averaged weights where a run has averaged them. The loss
    of smoothed labels is no cross-entropy that others could be compared with. Training accuracy is
    of the last epoch's augmented images, before each update.
    """
    of = "_average" if "test_accuracy_average" in result else ""
    smoothed = result["config"].get("label_smoothing")
    found = {
        "accuracy": 100 * result[f"test_accuracy{of}"],
        "cross-entropy": result[f"test_{'crossentropy' if smoothed else 'loss'}{of}"],
    }
    trained = ((result.get("curves") or {}).get("epochs") or {}).get("accuracy")
    if trained and trained[-1] is not None:
        found["training accuracy"] = 100 * trained[-1]
    if "learning_rate_sum" in result:
        found["sum of eta"] = result["learning_rate_sum"]
    measures = result.get("measures") or {}
    for name in ("C", "C_m", "FR"):
        if name in measures:
            found[name] = measures[name]["total"]
    by_kind = (measures.get("C") or {}).get("by_kind", {})
    found.update({f"C {kind}": value for kind, value in by_kind.items()})
    if by_kind.get("gamma") and "beta" in by_kind:  # neither is there of what is frozen
        found["r"] = by_kind["beta"] / by_kind["gamma"]
    if measures.get("gamma_sums"):
        found["sum of gamma"] = sum(measures["gamma_sums"].values())
    for name, shown in (("trace", "log Tr(H)"), ("lambda", "log lambda(H)")):
        if (measures.get(name) or {}).get("log") is not None:
            found[shown] = measures[name]["log"]
    return found


def read(table, scale, results):
    """The results of a table's arms.

    Args:
        table: a `wanted.Table`.
        scale: the `Scale`.
        results: the `Store`.

    Returns:
        Dict of dataset to dict of row's label to what `results_of` finds.
    """
    return {
        dataset: {line.label: results_of(line.arm, scale, results) for line in lines}
        for dataset, lines in table.rows.items()
    }


def rows(table, found):
    """The table as a list of dicts, one for each row and quantity.

    Args:
        table: a `wanted.Table`.
        found: its results, from `read`.

    Returns:
        List of dicts: dataset, row, quantity, paper, n, failed, reason, mean, sd, against,
        difference, low, high, p, pairs. An arm that was not run has n = 0. Quantities besides
        accuracy and cross-entropy are compared with the first of several rows alone.
    """
    made = []
    for dataset, lines in table.rows.items():
        values, failures = {}, {}
        for label, by_seed in found[dataset].items():
            values[label] = _done(by_seed)
            failures[label] = [r["reason"] for r in by_seed.values() if r["status"] != store.DONE]
        for line in lines:
            for name in (*_COMPARED, *line.more):
                own = _column(values[line.label], name)
                over_seeds = statistics.summary(list(own.values()))
                againsts = _againsts(line)
                for against in againsts if name in _COMPARED else againsts[:1]:
                    other = _column(values.get(against, {}), name)
                    made.append(
                        {
                            "dataset": dataset,
                            "row": line.label,
                            "quantity": name,
                            "paper": line.paper if name == "accuracy" else line.more.get(name),
                            "failed": len(failures[line.label]),
                            "reason": "; ".join(sorted(set(failures[line.label]))),
                            "n": over_seeds.n,
                            "mean": over_seeds.mean,
                            "sd": over_seeds.deviation,
                            **_compared(own, other, against),
                        }
                    )
    return made


def _done(by_seed):
    """Dict of seed to quantities, of the results that are finished."""
    return {s: quantities(r) for s, r in by_seed.items() if r["status"] == store.DONE}


def _againsts(line):
    return line.against if isinstance(line.against, tuple) else (line.against,)


def seeds_needed(found, dataset, label, against):
    """How many seeds half of a gap in accuracy needs, by the spread of its paired differences.

    Args:
        found: the table's results, from `read`.
        dataset, label, against: of the gap.

    Returns:
        A sentence, or None where the table lacks an arm, or the two have fewer than three seeds in
        common.
    """
    arms = found[dataset]
    if not {label, against} <= arms.keys():
        return None
    own, other = (_column(_done(arms[name]), "accuracy") for name in (label, against))
    made = statistics.paired(own, other)
    if made is None or made.n < 3:
        return None
    spread = made.deviation
    needed = statistics.seeds_needed(made.difference / 2, spread) if spread else None
    return (
        f"{dataset}: {label} less {against} is {made.difference:+.2f} points, deviation of the "
        f"paired differences {spread:.2f} ({made.n} pairs): half of it is found with 80 % power by "
        f"{needed or 'more than 1,000'} seeds."
    )


def _column(by_seed, name):
    return {seed: values[name] for seed, values in by_seed.items() if name in values}


def _compared(own, other, against):
    made = statistics.paired(own, other) if against else None
    if made is None:
        nothing = dict.fromkeys(("difference", "low", "high", "p"), math.nan)
        return {"against": against, "pairs": 0, **nothing}
    return {
        "against": against,
        "pairs": made.n,
        "difference": made.difference,
        "low": made.low,
        "high": made.high,
        "p": made.p,
    }


def markdown(table, made):
    """The page of a table as Markdown, from its `rows`.

    A row that neither we nor the paper have a number for is named below the table.
    """
    lines = [f"## {table.title}", ""]
    for dataset, of_dataset in table.rows.items():
        if not of_dataset:
            continue
        lines += [f"### {dataset}", ""]
        lines += [
            "| arm | quantity | paper | n | mean | sd | difference [95 %] | p |",
            "|" + "---|" * 8,
        ]
        seen = set()
        for row in (row for row in made if row["dataset"] == dataset):
            what = row["row"], row["quantity"]
            run = row["n"] or row["failed"]
            if not run and (row["paper"] is None or what in seen):
                continue
            seen.add(what)
            failed = f" ({row['failed']} failed: {row['reason']})" if row["failed"] else ""
            cells = (
                row["row"],
                row["quantity"],
                _shown(row["paper"]),
                f"{row['n']}{failed}" if run else "not run",
                _shown(row["mean"]),
                _shown(row["sd"]),
                _interval(row),
                _shown(row["p"]),
            )
            lines.append(f"| {' | '.join(cells)} |")
        shown = {label for label, _ in seen}
        left = [line.label for line in of_dataset if line.label not in shown]
        lines += ["", f"Not run: {'; '.join(left)}.", ""] if left else [""]
    return "\n".join([*lines, *(f"* {note}" for note in table.notes), ""])


def _interval(row):
    if not row["pairs"]:
        return ""
    size = f"{_shown(row['difference'])}"
    if not math.isnan(row["low"]):
        size += f" [{_shown(row['low'])}, {_shown(row['high'])}]"
    return f"{size} to {row['against']}, {row['pairs']} pair{'s' * (row['pairs'] > 1)}"


def _shown(value):
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value if isinstance(value, str) else f"{value:.4g}"


def as_csv(made):
    """The rows as CSV; a number that is not there is an empty cell."""
    if not made:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(made[0]), lineterminator="\n")
    writer.writeheader()
    for row in made:
        writer.writerow({k: "" if v is None or v != v else v for k, v in row.items()})
    return out.getvalue()
