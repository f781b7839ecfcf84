"""Writes all pages, made of the result files alone: OUT/SCALE/pages/ and results.md."""

import json
import math

import matplotlib

from tf_bdecay.storage.files import atomic_write
from tools.reproducing import claims, figures, plan, store, tables, tuning
from tools.reproducing.runs import FIRST_TUNING_SEED
from tools.reproducing.scales import IMAGENET

_TABLES = sorted(name for name, entry in plan.MADE.items() if entry.draw is None)
_SCATTERS = [name for name, entry in plan.MADE.items() if entry.draw is figures.scatter]
_FIGURES = _SCATTERS + [name for name in plan.MADE if name not in (*_TABLES, *_SCATTERS)]


def write(out, scale, results):
    """Writes tables, figures and claims.

    Args:
        out: path of the results' folder.
        scale: the `Scale`.
        results: the `Store`.

    Returns:
        Paths of the pages, `results.md` last.
    """
    folder = out / scale.folder / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    tuned = tuning.tuned(scale.datasets, scale, results)
    written, parts, by_name = [], [], {}
    for name in _TABLES:
        for file, table in plan.shown(name, scale.all_datasets, tuned).items():
            found = tables.read(table, scale, results)
            made = by_name[name] = tables.rows(table, found)
            text = tables.markdown(table, made)
            if name.startswith("table4"):
                text += _power(found)
            parts.append(text)
            _text(folder / f"{file}.md", text)
            _text(folder / f"{file}.csv", tables.as_csv(made))
            _text(folder / f"{file}.json", json.dumps(_plain(made), indent=1) + "\n")
            written.append(folder / f"{file}.md")
    scatters = []
    for name in _FIGURES:
        for file, table in plan.shown(name, scale.datasets, tuned).items():
            ((dataset, rows),) = table.rows.items()
            if name in _SCATTERS:
                what = f"{dataset}, {rows[0].arm.model}"
                scatters.append((what, claims.scattered(table, scale, results)))
            if name in claims.TABLES:
                by_name.setdefault(name, []).extend(
                    tables.rows(table, tables.read(table, scale, results))
                )
            heading = f"## {file}: {table.title}, {dataset}"
            made = plan.MADE[name].draw(table, scale, results)
            if made is None:
                parts.append(f"{heading}\n\nNot run.\n")
                continue
            figure, lacks = made
            figure.savefig(folder / f"{file}.png", dpi=130)
            with matplotlib.rc_context({"svg.hashsalt": file}):  # the same file each time
                figure.savefig(folder / f"{file}.svg", metadata={"Date": None})
            words = "".join(f"* {sentence}\n" for sentence in dict.fromkeys((*lacks, *table.notes)))
            parts.append(f"{heading}\n\n![{file}](pages/{file}.png)\n\n{words}")
            written.append(folder / f"{file}.png")
    _drop_others(folder, {path.stem for path in written})
    judged = claims.judge(by_name, scatters, list(results.results.values()))
    rows = [row for made in by_name.values() for row in made]
    imagenet = any(row["n"] or row["failed"] for row in rows if row["dataset"] == IMAGENET)
    _text(folder / "claims.md", claims.markdown(judged, scale, imagenet))
    _text(out / scale.folder / "results.md", _results(scale, results, parts, imagenet))
    return [*written, folder / "claims.md", out / scale.folder / "results.md"]


def _drop_others(folder, made):
    """Removes pages of an earlier time that the results do not make now."""
    for path in folder.iterdir():
        if path.stem.partition("-")[0] in plan.MADE and path.stem not in made:
            path.unlink()


def _power(found):
    """How many seeds the gap between the arms without decay of beta needs."""
    sentences = [
        tables.seeds_needed(found, dataset, tuning.LARGE, tuning.SMALL) for dataset in found
    ]
    return "".join(f"* {sentence}\n" for sentence in sentences if sentence)


def _results(scale, results, parts, imagenet):
    """The page of all results, of which `imagenet` says whether some are of ImageNet."""
    without = "" if imagenet else " ImageNet was never here: Table 5 was not run."
    done = [r for r in results.results.values() if r["status"] == store.DONE]
    failed = [r for r in results.results.values() if r["status"] == store.FAILED]
    return "\n".join(
        [
            f"# Results at scale {scale.folder}",
            "",
            f"{scale.words}. Made by `{scale.command('pages')}` from "
            f"{len(done)} finished and {len(failed)} failed runs; rows that say *not run* were "
            f"not. A difference is paired over seeds, with Student's 95 % interval.{without}",
            "",
            *parts,
            *_tuning(scale, results),
        ]
    )


def _tuning(scale, results):
    lines = [
        "## Tuning",
        "",
        "Kernel decay and peak (at the large batch; square-root rule) of each arm, on a seed that "
        "no table uses: three decays at the first peak, then two peaks at the best decay, and the "
        "next value where the best is the last that was tried. Accuracy is of the test images, "
        "the same for every choice; the best is bold.",
        "",
        "| data | arm | kernel decay | peak | accuracy | cross-entropy |",
        "|---|---|---|---|---|---|",
    ]
    left = {key: r for key, r in results.results.items() if r["seed"] >= FIRST_TUNING_SEED}
    for dataset in scale.datasets:
        for name, search in tuning.SEARCHES.items():
            trials = search.trials(dataset, scale, results)
            for result in filter(None, trials.values()):
                left.pop(result["key"], None)
            best, told = search.found(dataset, scale, results), ""
            if best and search.at_edge(trials):
                told = " (at the edge of what was tried)"
            for arm, result in trials.items():
                if not any(trials.values()):
                    continue
                choice = dict(arm.overrides)
                bold = "**" if best == choice else ""
                lines.append(
                    f"| {dataset} | {name} | {choice['decay.kernel']} | {choice[search.peak]} | "
                    f"{bold}{_accuracy(result)}{bold}{told * bool(bold)} | {_loss(result)} |"
                )
    also = [f"* {r['label']}: {_accuracy(r)}, {_loss(r)}" for r in left.values()]
    if also:
        lines += ["", "Of searches before this one (accuracy, cross-entropy):", "", *sorted(also)]
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
