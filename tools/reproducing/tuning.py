"""The search for each arm's own kernel decay and peak rate: the same five runs for every arm.

First three decays at the first peak, then two more peaks at the best of them, by test accuracy on a
seed that no table uses. The arms without decay of beta come first: what is compared with them is
not run before they are fixed.
"""

import dataclasses

from tools.reproducing import store
from tools.reproducing.runs import FIRST_TUNING_SEED, Arm, resolve


@dataclasses.dataclass(frozen=True)
class Search:
    """Where an arm looks.

    Attributes:
        name: of the row of a table that it is for.
        arm: the `Arm`, its data set left open.
        decays: values of `decay.kernel`; those of Algorithm 1's other biases follow.
        peaks: values of `peak`, the first of which is that of the search for a decay.
        peak: dotted path of the peak rate.
    """

    name: str
    arm: Arm
    decays: tuple = (0.05, 0.2, 0.8)
    peaks: tuple = (0.04, 0.02, 0.08)
    peak: str = "learning_rate.base_peak"

    def trial(self, dataset, decay, peak):
        """The arm at a point of the search."""
        more = {"decay.kernel": decay, self.peak: peak}
        if self.arm.variant in ("beta", "adaptive"):
            more["decay.bias"] = decay  # Algorithm 1: other biases decay as kernels do
        return self.arm.but(dataset=dataset, overrides=more)

    def trials(self, dataset, scale, results):
        """Dict of trial to its result or None, as far as results say where to look."""
        found = self._results(
            [self.trial(dataset, d, self.peaks[0]) for d in self.decays], scale, results
        )
        if None in found.values():
            return found
        decay = dict(_best(found).overrides)["decay.kernel"]
        more = [self.trial(dataset, decay, peak) for peak in self.peaks[1:]]
        return {**found, **self._results(more, scale, results)}

    def found(self, dataset, scale, results):
        """The overrides of the best trial, or None before the search has ended."""
        trials = self.trials(dataset, scale, results)
        ended = len(trials) == len(self.decays) + len(self.peaks) - 1
        return dict(_best(trials).overrides) if ended and None not in trials.values() else None

    def at_edge(self, overrides):
        """Whether what was found is the largest or smallest that was tried, of either."""
        return any(
            overrides[path] in (min(values), max(values))
            for path, values in (("decay.kernel", self.decays), (self.peak, self.peaks))
        )

    @staticmethod
    def _results(arms, scale, results):
        return {arm: results.of(resolve(arm, scale, FIRST_TUNING_SEED)) for arm in arms}


def _best(trials):
    return max(trials, key=lambda arm: _score(trials[arm]))


def _score(result):
    return result["test_accuracy"] if result["status"] == store.DONE else 0.0


_OPEN = "cifar100"  # replaced by the data set of the table
SMALL, LARGE = "small batch", "large batch"
BETA, ADAPTIVE = "large batch + beta decay", "large batch + adaptive"
BASELINES = (Search(LARGE, Arm(_OPEN)), Search(SMALL, Arm(_OPEN, batch="small")))
TREATMENTS = (
    Search(BETA, Arm(_OPEN, variant="beta")),
    Search(ADAPTIVE, Arm(_OPEN, variant="adaptive")),
)
OTHERS = (
    Search("AdamW", Arm(_OPEN, optimizer="adamw"), peaks=(0.004, 0.0016, 0.01)),
    Search("LARS", Arm(_OPEN, optimizer="lars"), (1e-4, 5e-4, 2.5e-3), peaks=(4.0, 1.6, 10.0)),
    Search(
        "SGD, Nesterov",
        Arm(_OPEN, optimizer="sgd", overrides=(("optimizer.nesterov", True),)),
        (5e-4, 2e-3, 8e-3),
        (0.4, 0.1, 1.6),
        "learning_rate.peak",
    ),
)
SEARCHES = {search.name: search for search in (*BASELINES, *TREATMENTS, *OTHERS)}


def runs(searches, datasets, scale, results):
    """The runs that searches need next; those of the baselines alone until they have ended."""
    for group in (
        [s for s in searches if s in BASELINES],
        [s for s in searches if s not in BASELINES],
    ):
        wanted = [
            resolve(arm, scale, FIRST_TUNING_SEED)
            for dataset in datasets
            for search in group
            for arm in search.trials(dataset, scale, results)
        ]
        if any(results.of(run) is None for run in wanted) or not all(
            search.found(dataset, scale, results) for dataset in datasets for search in group
        ):
            return wanted
    return []


def tuned(datasets, scale, results):
    """Dict of (dataset, search's name) to the overrides found, of the searches that have ended."""
    found = {
        (dataset, name): search.found(dataset, scale, results)
        for dataset in datasets
        for name, search in SEARCHES.items()
    }
    return {which: overrides for which, overrides in found.items() if overrides is not None}
