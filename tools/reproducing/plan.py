"""From names of tables and figures to the runs that they need."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from tf_bdecay.errors import require, unknown
from tools.reproducing import beyond, figures, tuning, wanted
from tools.reproducing.runs import resolve
from tools.reproducing.scales import IMAGENET

_NO_IMAGENET = (
    "table5 is of ImageNet, which --source=DIR names, at a scale that has it (paper; smoke for "
    "any pictures): not run."
)
# Searches that each name stands for.
_SEARCHES = {
    "tuning": (*tuning.BASELINES, *tuning.TREATMENTS),
    "tuning_baselines": tuning.BASELINES,
    "tuning_others": (*tuning.BASELINES, *tuning.OTHERS),
}


class Entry(NamedTuple):
    """How a table or figure is made.

    Attributes:
        of: takes names of data sets, and gives those that it trains on; there may be none.
        make: takes these and what `tuning.tuned` found, and gives its `wanted.Table`.
        search: name of the search that it waits for; None for what the paper has.
        measured: whether it needs measures of sharpness, for which a run needs TensorFlow.
        draw: of a figure, what takes the table of one data set, scale and results, and draws it.
        shown: as `of`, those that its pages show if there are results; None for the same.
    """

    of: Callable
    make: Callable
    search: str | None = None
    measured: bool = False
    draw: Callable | None = None
    shown: Callable | None = None


def _small(datasets):
    """Those that are not ImageNet, in memory."""
    return tuple(dataset for dataset in datasets if dataset != IMAGENET)


def _first(datasets):
    return _small(datasets)[:1]


def _imagenet(datasets):
    return tuple(dataset for dataset in datasets if dataset == IMAGENET)


def _untuned(of, make, **more):
    """The entry of what takes nothing from tuning."""
    return Entry(of, lambda datasets, tuned: make(datasets), **more)


def _scatter(model, index):
    """The entry of a figure of sharpness against accuracy.

    Args:
        model: name of the network.
        index: of the data set, or the last there is.
    """
    return Entry(
        lambda datasets: _small(datasets)[: index + 1][-1:],
        lambda datasets, tuned: wanted.scatter(*datasets, model),
        measured=True,
        draw=figures.scatter,
    )


def _evolution(arms):
    draw = functools.partial(figures.evolution, arms)
    return Entry(
        _first, lambda datasets, tuned: wanted.evolution(*datasets), draw=draw, shown=_small
    )


# Every table and figure, in the order in which `all` trains them.
MADE = {
    "table4": _untuned(_small, wanted.table4),
    "table3": _untuned(tuple, wanted.table3),
    "table1": _untuned(_first, wanted.table1, measured=True, shown=_small),
    "table2": _untuned(_first, wanted.table2, measured=True, shown=_small),
    "figure1": _scatter("vgg11", 0),
    "figure2": _evolution(figures.FIGURE2),
    "figure3": _evolution(figures.FIGURE3),
    "figure4": _untuned(_first, wanted.table2, measured=True, draw=figures.gammas, shown=_small),
    "figure5": _scatter("vgg11", 1),
    "figure6": _scatter("vgg19_bn", 0),
    "figure7": _scatter("vgg19_bn", 1),
    "table5": _untuned(_imagenet, wanted.table5),
    "table4_added": Entry(_small, wanted.table4_added, "tuning_baselines"),
    "table4_tuned": Entry(_small, wanted.table4_tuned, "tuning"),
    "table6": Entry(_small, beyond.table6, "tuning"),
    "table7": Entry(_small, beyond.table7, "tuning_baselines"),
}
PAPER = [name for name, entry in MADE.items() if entry.search is None]
_ELSE = ("claims", "pages")  # made of the others
NAMES = ("all", *sorted(PAPER), *_SEARCHES, *(n for n in MADE if n not in PAPER), *_ELSE)
MEASURED = ("all", "claims", *(name for name, entry in MADE.items() if entry.measured))


def table(name, datasets, tuned):
    """The `wanted.Table` behind a name; None where it has none, or not of these data sets.

    Args:
        name: of `NAMES`.
        datasets: names.
        tuned: from `tuning.tuned`.
    """
    return _made(name, MADE[name].of(datasets), tuned) if name in MADE else None


def shown(name, datasets, tuned):
    """What the pages of a table or figure show.

    Args:
        name: of `MADE`.
        datasets, tuned: as for `table`.

    Returns:
        Dict of file name to `wanted.Table`: one table of all data sets; of a figure, one for each,
        whose file bears the data set's name where the paper has the figure of another.
    """
    entry = MADE[name]
    own = (entry.shown or entry.of)(datasets)
    if entry.draw is None:
        pages = {name: own}
    else:
        usual = entry.of(datasets)
        pages = {name if (d,) == usual else f"{name}-{d}": (d,) for d in own}
    made = {file: _made(name, of, tuned) for file, of in pages.items()}
    return {file: one for file, one in made.items() if one is not None}


def _made(name, of, tuned):
    made = MADE[name].make(of, tuned) if of else None
    return made if made is not None and any(made.rows.values()) else None


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
    names = [n for name in names for n in (PAPER if name == "all" else (name,))]
    if "claims" in names:
        names += [name for name in PAPER if name != "table5"]
    small = _small(datasets)
    waiting = [_NO_IMAGENET] if "table5" in names and IMAGENET not in datasets else []
    if not small:
        others = [n for n in names if n not in _ELSE and not (n in MADE and MADE[n].of(datasets))]
        waiting += [f"{name} is not of {IMAGENET}." for name in others]
        names = [n for n in names if n not in others]
    found = {}
    for name in names:
        searches = _SEARCHES.get(name, ())
        found.update({r.key: r for r in tuning.runs(searches, small, scale, results)})
    tuned = tuning.tuned(small, scale, results)
    for name in dict.fromkeys(names):
        search = MADE[name].search if name in MADE else None
        if search and table(name, datasets, tuned) is None:
            waiting.append(f"{name} waits for its decays and rates: run `{search}` first.")
    made = filter(None, (table(name, datasets, tuned) for name in names))
    rows = [row for one in made for of_dataset in one.rows.values() for row in of_dataset]
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
