"""Writes all pages, made of the result files alone: OUT/SCALE/pages/ and results.md."""

import json
import math

from tf_bdecay.storage.files import atomic_write
from tools.reproducing import claims, figures, plan, runs, store, tables, wanted

_TABLES = ("table1", "table2", "table3", "table4", "table4_tuned")
_SCATTERS = ("figure1", "figure5", "figure6", "figure7")


def write(out, scale, results):
    """Writes tables, figures and claims.

    Args:
        out: path of the results' folder.
        scale: the `Scale`.
        results: the `Store`.

    Returns:
        Paths of the pages, `results.md` last.
    """
    folder = out / scale.name / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    tuned = wanted.tuned(scale, results, scale.datasets)
    written, parts, by_name = [], [], {}
    for name in _TABLES:
        if name == "table4_tuned" and not tuned:
            continue
        (table,) = plan.tables(name, scale.datasets, tuned)
        made = by_name[name] = tables.rows(table, scale, results)
        text = tables.markdown(table, made)
        parts.append(text)
        _text(folder / f"{name}.md", text)
        _text(folder / f"{name}.csv", tables.as_csv(made))
        _text(folder / f"{name}.json", json.dumps(_plain(made), indent=1) + "\n")
        written.append(folder / f"{name}.md")
    for name in (*_SCATTERS, "figure2", "figure4"):
        (table,) = plan.tables(name, scale.datasets)
        draw = {"figure2": figures.evolution, "figure4": figures.gammas}
        made = draw.get(name, figures.scatter)(table, scale, results)
        if made is None:
            parts.append(f"## {name}: {table.title}\n\nNot run.\n")
            continue
        figure, lacks = made
        for kind in ("png", "svg"):
            figure.savefig(folder / f"{name}.{kind}", dpi=130)
        words = "".join(f"* {sentence}\n" for sentence in dict.fromkeys(lacks))
        picture = f"![{name}](pages/{name}.png)"
        parts.append(f"## {name}: {table.title}\n\n{picture}\n\n{words}")
        written.append(folder / f"{name}.png")
    _text(folder / "claims.md", claims.markdown(claims.judge(by_name), scale))
    _text(out / scale.name / "results.md", _results(scale, results, parts, tuned))
    return [*written, folder / "claims.md", out / scale.name / "results.md"]


def _results(scale, results, parts, tuned):
    done = [r for r in results.results.values() if r["status"] == store.DONE]
    failed = [r for r in results.results.values() if r["status"] == store.FAILED]
    return "\n".join(
        [
            f"# Results at scale {scale.name}",
            "",
            f"{scale.words}. Made by `python tools/reproduce.py pages --scale={scale.name}` from "
            f"{len(done)} finished and {len(failed)} failed runs; rows that say *not run* were "
            "not. A difference is paired over seeds, with Student's 95 % interval. Tables 5, 6 and "
            "7 were not run.",
            "",
            *parts,
            *_tuning(scale, results, tuned),
        ]
    )


def _tuning(scale, results, tuned):
    lines = [
        "## Tuning of the arms without decay of beta",
        "",
        "Kernel decay and peak (at the large batch; square-root rule), on seeds that no table "
        "uses. Accuracy is of the test images, the same for every choice.",
        "",
        "| data | batch | kernel decay | peak | accuracy | cross-entropy |",
        "|---|---|---|---|---|---|",
    ]
    for dataset in scale.datasets:
        for batch in ("small", "large"):
            for arm in wanted.tuning_grid(dataset, batch):
                found = results.of(runs.resolve(arm, scale, runs.FIRST_TUNING_SEED))
                choice = dict(arm.overrides)
                best = "**" if tuned.get((dataset, batch)) == choice else ""
                lines.append(
                    f"| {dataset} | {batch} | {choice['decay.kernel']} | "
                    f"{choice['learning_rate.base_peak']} | {best}{_accuracy(found)}{best} | "
                    f"{_loss(found)} |"
                )
    return [*lines, ""]


def _accuracy(result):
    if result is None:
        return "not run"
    return f"{100 * result['test_accuracy']:.2f}" if result["status"] == store.DONE else "failed"


def _loss(result):
    return f"{result['test_loss']:.4f}" if result and result["status"] == store.DONE else ""


def _plain(made):
    """Rows with None in place of NaN."""
    return [
        {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
        for row in made
    ]


def _text(path, text):
    content = (text.rstrip("\n") + "\n").encode()
    atomic_write(path, lambda file: file.write(content))
