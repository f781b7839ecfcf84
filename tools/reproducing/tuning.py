"""The search for each arm's own kernel decay and peak rate: by the same rule for every arm.

First three decays at the first peak, then two more peaks at the best of them, by test accuracy on a
seed that no table uses. Where the best of either is the largest or smallest that was tried, the
next one is tried as well, up to `EXTENSIONS` of them. The arms without decay of beta come first:
what is compared with them is not run before they are fixed.
"""

import dataclasses

from tools.reproducing import store
from tools.reproducing.runs import FIRST_TUNING_SEED, Arm, resolve

EXTENSIONS = 3  # values of a decay, and of a peak, beyond those that every search begins with
DECAY = "decay.kernel"  # what the first half of a search varies


def with_decay_of_biases(overrides):
    """Overrides of an arm with decay of beta: other biases decay as kernels do (Algorithm 1)."""
    return overrides | {"decay.bias": overrides[DECAY]}


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
    decays: tuple = (0.2, 0.8, 3.2)
    peaks: tuple = (0.08, 0.04, 0.16)
    peak: str = "learning_rate.base_peak"

    def trial(self, dataset, decay, peak):
        """The arm at a point of the search."""
        more = {DECAY: decay, self.peak: peak}
        if self.arm.variant in ("beta", "adaptive"):
            more = with_decay_of_biases(more)
        return self.arm.but(dataset=dataset, overrides=more)

    def trials(self, dataset, scale, results):
        """Dict of trial to its result or None, as far as results say where to look."""
        return self._walk(dataset, scale, results)[0]

    def found(self, dataset, scale, results):
        """The overrides of the best trial, or None before the search has ended."""
        trials, ended = self._walk(dataset, scale, results)
        return dict(_best(trials).overrides) if ended else None

    def at_edge(self, trials):
        """Whether the best of trials is the largest or smallest that was tried, of either."""
        best = dict(_best(trials).overrides)
        points = [dict(arm.overrides) for arm in trials]
        decays, peaks = ([point[path] for point in points] for path in (DECAY, self.peak))
        return best[DECAY] in (min(decays), max(decays)) or (
            best[self.peak] in (min(peaks), max(peaks))
        )

    def _walk(self, dataset, scale, results):
        """(trials as far as they are known, whether the search has ended)."""
        found, at = {}, {DECAY: self.decays[0], self.peak: self.peaks[0]}
        for path, values in ((DECAY, self.decays), (self.peak, self.peaks)):
            tried = list(values)
            while True:
                arms = [self.trial(dataset, *(at | {path: v}).values()) for v in tried]
                found |= self._results(arms, scale, results)
                if None in found.values():
                    return found, False
                at[path] = dict(_best({arm: found[arm] for arm in arms}).overrides)[path]
                beyond = _beyond(tried, at[path])
                if beyond is None or len(tried) == len(values) + EXTENSIONS:
                    break
                tried.append(beyond)
        return found, True

    @staticmethod
    def _results(arms, scale, results):
        return {arm: results.of(resolve(arm, scale, FIRST_TUNING_SEED)) for arm in arms}


def _beyond(tried, best):
    """The value after the largest, or before the smallest, where that is the best; or None."""
    low, next_to_low, *_ = sorted(tried)
    high, next_to_high, *_ = sorted(tried, reverse=True)
    nearest = {low: next_to_low, high: next_to_high}.get(best)
    return None if nearest is None else float(f"{best * best / nearest:.6g}")


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
# keras.optimizers.Lamb, by the optimizer whose numbers are equal to its (tests/optim/test_lamb.py).
_KERAS_LAMB = {
    "optimizer.layer_adaptation": "all",
    "optimizer.decay_in_ratio": False,
    "optimizer.epsilon": 1e-7,
}
OTHERS = (
    Search("keras.optimizers.Lamb", Arm(_OPEN, overrides=tuple(_KERAS_LAMB.items()))),
    Search("AdamW", Arm(_OPEN, optimizer="adamw"), peaks=(0.008, 0.004, 0.016)),
    Search("LARS", Arm(_OPEN, optimizer="lars"), (1e-4, 5e-4, 2.5e-3), peaks=(4.0, 2.0, 8.0)),
    Search(
        "SGD, Nesterov",
        Arm(_OPEN, optimizer="sgd", overrides=(("optimizer.nesterov", True),)),
        (5e-4, 2e-3, 8e-3),
        (0.4, 0.2, 0.8),
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
