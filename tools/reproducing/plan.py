"""From names of tables and figures to the runs that they need."""

from tf_bdecay.errors import require, unknown
from tools.reproducing import beyond, tuning, wanted
from tools.reproducing.runs import resolve
from tools.reproducing.scales import IMAGENET

_SCATTERS = {
    "figure1": ("vgg11", 0),
    "figure5": ("vgg11", 1),
    "figure6": ("vgg19_bn", 0),
    "figure7": ("vgg19_bn", 1),
}
_NO_IMAGENET = (
    "table5 is of ImageNet, which --source=DIR names, at a scale that has it (paper; smoke for "
    "any pictures): not run."
)
_TUNED = ("table4_added", "table4_tuned", "table6", "table7")
_ALL = ("table4", "table3", "table1", "table2", *(f"figure{i}" for i in range(1, 8)))
# Searches that each name stands for.
_SEARCHES = {
    "tuning": (*tuning.BASELINES, *tuning.TREATMENTS),
    "tuning_baselines": tuning.BASELINES,
    "tuning_others": (*tuning.BASELINES, *tuning.OTHERS),
}
# What is made of measures of sharpness, for which a run needs TensorFlow.
MEASURED = ("all", "claims", "table1", "table2", "figure1", *(f"figure{i}" for i in (4, 5, 6, 7)))
NAMES = ("all", *sorted(_ALL), "table5", *_SEARCHES, *_TUNED, "claims", "pages")


def tables(name, datasets, tuned):
    """The `wanted.Table`s behind a name; a list, empty where it waits for something.

    Args:
        name: of `NAMES`.
        datasets: names.
        tuned: from `tuning.tuned`.
    """
    if name == "table3":
        return [wanted.table3(datasets)]
    if name == "table5":
        return [wanted.table5()] if IMAGENET in datasets else []
    datasets = _small(datasets)
    if not datasets:
        return []
    first = datasets[:1]
    if name in ("table1", "table2", "table4"):
        return [getattr(wanted, name)(datasets if name == "table4" else first)]
    if name in _TUNED:
        made = {
            "table4_added": lambda: wanted.table4_added(datasets, tuned),
            "table4_tuned": lambda: wanted.table4_tuned(datasets, tuned),
            "table6": lambda: beyond.table6(datasets, tuned),
            "table7": lambda: beyond.table7(datasets, tuned),
        }[name]()
        return [made] if any(made.rows.values()) else []
    if name in _SCATTERS:
        model, index = _SCATTERS[name]
        return [wanted.scatter(datasets[min(index, len(datasets) - 1)], model)]
    if name in ("figure2", "figure3"):
        return [wanted.evolution(first[0])]
    return [wanted.table2(first)] if name == "figure4" else []


def _small(datasets):
    """Those that are not ImageNet, in memory."""
    return [dataset for dataset in datasets if dataset != IMAGENET]


def runs(names, scale, datasets, seeds, results, labels=()):
    """The runs of some tables, each once, and sentences on what cannot be run.

    Args:
        names: of `NAMES`.
        scale: the `Scale`.
        datasets: names.
        seeds: number of seeds an arm.
        results: the `Store`, which has the results of tuning.
        labels: of the rows that are wanted alone; all where it is empty.

    Returns:
        (list of `Run`: searches first, then the seeds one by one, so that all arms grow together,
        and the middle batch last; sentences). A search has more runs once these are done.

    Raises:
        BadInput: a label that no row of these tables has.
    """
    names = [n for name in names for n in ((*_ALL, "table5") if name == "all" else (name,))]
    if "claims" in names:
        names = [*names, *_ALL]
    small = _small(datasets)
    waiting = [_NO_IMAGENET] if "table5" in names and IMAGENET not in datasets else []
    if not small:
        others = [n for n in names if n not in ("table3", "table5", "claims", "pages")]
        waiting += [f"{name} is not of {IMAGENET}." for name in others]
        names = [n for n in names if n not in others]
    found = {}
    for name in names:
        searches = _SEARCHES.get(name, ())
        found.update({r.key: r for r in tuning.runs(searches, small, scale, results)})
    tuned = tuning.tuned(small, scale, results)
    for name in dict.fromkeys(names):
        if name in _TUNED and not tables(name, datasets, tuned):
            search = "tuning_baselines" if name in ("table4_added", "table7") else "tuning"
            waiting.append(f"{name} waits for its decays and rates: run `{search}` first.")
    made = [table for name in names for table in tables(name, datasets, tuned)]
    rows = [row for table in made for of_dataset in table.rows.values() for row in of_dataset]
    if labels:
        rows = _labelled(rows, labels, names)
    last = {}
    for seed in range(seeds):
        for row in rows:
            run = resolve(row.arm, scale, seed)
            (last if row.arm.batch == "middle" else found)[run.key] = run
    return list({**found, **last}.values()), waiting


def _labelled(rows, labels, names):
    """The rows that have some labels, each of which is one of theirs."""
    known = list(dict.fromkeys(row.label for row in rows))
    require(known, f"--row chooses among the rows of a table, and {', '.join(names)} has none yet.")
    for label in labels:
        if label not in known:
            raise unknown("row", label, known)
    return [row for row in rows if row.label in labels]
