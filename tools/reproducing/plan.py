"""From names of tables and figures to the runs that they need."""

from tools.reproducing import wanted
from tools.reproducing.runs import FIRST_TUNING_SEED, resolve

_SCATTERS = {
    "figure1": ("vgg11", 0),
    "figure5": ("vgg11", 1),
    "figure6": ("vgg19_bn", 0),
    "figure7": ("vgg19_bn", 1),
}
_WAITING = {
    "table5": "table5 waits for ImageNet, which the project does not read yet: not run.",
    "table6": "table6 (layer_adaptation, R, lambda_beta, FC's bias, probe) is not built yet.",
    "table7": "table7 needs LARS, AdamW, SAM, ASAM and an average of the weights, which do not "
    "exist here yet: not run.",
}
_ALL = ("table4", "table3", "table1", "table2", *(f"figure{i}" for i in range(1, 8)))
NAMES = ("all", *sorted(_ALL), *_WAITING, "tuning", "table4_tuned", "claims", "pages")


def tables(name, datasets, tuned=None):
    """The `wanted.Table`s behind a name; a list, empty where it waits for something."""
    first = datasets[:1]
    if name in ("table1", "table2", "table3", "table4"):
        return [getattr(wanted, name)(datasets if name in ("table3", "table4") else first)]
    if name == "table4_tuned":
        return [wanted.table4(datasets, tuned)] if tuned else []
    if name in _SCATTERS:
        model, index = _SCATTERS[name]
        return [wanted.scatter(datasets[min(index, len(datasets) - 1)], model)]
    if name in ("figure2", "figure3"):
        return [wanted.evolution(first[0])]
    return [wanted.table2(first)] if name == "figure4" else []


def runs(names, scale, datasets, seeds, results):
    """The runs of some tables, each once, and sentences on what cannot be run.

    Args:
        names: of `NAMES`.
        scale: the `Scale`.
        datasets: names.
        seeds: number of seeds an arm.
        results: the `Store`, which has the results of tuning.

    Returns:
        (list of `Run`, the seeds of an arm far apart so that all arms grow together; sentences).
    """
    names = [n for name in names for n in ((*_ALL, *_WAITING) if name == "all" else (name,))]
    waiting = [_WAITING[name] for name in names if name in _WAITING]
    found = {}
    if "tuning" in names:
        for dataset in datasets:
            for batch in ("large", "small"):
                for arm in wanted.tuning_grid(dataset, batch):
                    run = resolve(arm, scale, FIRST_TUNING_SEED)
                    found[run.key] = run
    if "claims" in names:
        names = [*names, *_ALL]
    tuned = wanted.tuned(scale, results, datasets)
    if "table4_tuned" in names and not tuned:
        waiting.append("table4_tuned waits for tuning: run `tuning` first.")
    for seed in range(seeds):
        for name in names:
            for table in tables(name, datasets, tuned):
                for row in (row for rows in table.rows.values() for row in rows):
                    run = resolve(row.arm, scale, seed)
                    found[run.key] = run
    return list(found.values()), waiting
