"""What a comparison over seeds says: mean, spread, paired tests, Holm, R^2 by bootstrap, power."""

import dataclasses
import math

import numpy as np
from scipy import stats

from tf_bdecay.errors import require

_RESAMPLES = 10_000  # of the bootstrap, always the same
_INTERVAL = 0.95  # confidence of every interval
_LEVEL = 0.05  # of a test whose power is asked for
_POWER = 0.8
_MOST_PAIRS = 1000
_NO_SPREAD = 1e-9  # of a mean: differences that rounding alone tells apart


@dataclasses.dataclass(frozen=True)
class Summary:
    """n values: their mean and standard deviation (n - 1; NaN for a single value)."""

    n: int
    mean: float
    deviation: float


@dataclasses.dataclass(frozen=True)
class Paired:
    """A paired difference over seeds, with Student's interval and two-sided p-value.

    Attributes:
        n: pairs.
        difference: mean.
        deviation: standard deviation of the differences (n - 1); NaN below two pairs.
        low, high: of the 95 % interval; NaN below two pairs, and where all differences are equal,
            which says nothing of their spread.
        p: that the mean difference is 0; NaN where the interval is.
    """

    n: int
    difference: float
    deviation: float
    low: float
    high: float
    p: float


def summary(values):
    """The `Summary` of some numbers; NaN throughout for none."""
    values = np.asarray(values, float)
    mean = float(values.mean()) if len(values) else math.nan
    return Summary(len(values), mean, float(values.std(ddof=1)) if len(values) > 1 else math.nan)


def paired(ours, theirs):
    """Compares two arms on the same seeds.

    Args:
        ours, theirs: dict of seed to value; seeds that only one has are left out.

    Returns:
        A `Paired` of ours less theirs, or None without a common seed.
    """
    seeds = sorted(set(ours) & set(theirs))
    if not seeds:
        return None
    differences = np.array([ours[s] - theirs[s] for s in seeds])
    made = summary(differences)
    n, mean, deviation = made.n, made.mean, made.deviation
    if n < 2 or deviation <= _NO_SPREAD * max(1.0, abs(mean)):
        return Paired(n, mean, deviation, math.nan, math.nan, math.nan)
    test = stats.ttest_1samp(differences, 0.0)
    interval = test.confidence_interval(_INTERVAL)
    return Paired(n, mean, deviation, *map(float, (interval.low, interval.high, test.pvalue)))


def holm(p_values):
    """Holm's adjusted p-values, in the order given; NaN stays and counts as no test.

    p_(i) <- max over j <= i of (m - j + 1) p_(j), at most 1 (Holm, 1979).
    """
    p = np.asarray(p_values, float)
    adjusted, tested = np.full(len(p), math.nan), np.flatnonzero(~np.isnan(p))
    largest = 0.0
    for rank, index in enumerate(tested[np.argsort(p[tested], kind="stable")]):
        largest = max(largest, min(1.0, (len(tested) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted.tolist()


def r_squared(x, y):
    """R^2 of a straight line through (x, y), with a bootstrap interval over the points.

    Args:
        x, y: arrays of n >= 3 numbers.

    Returns:
        (R^2, low, high); NaN where x or y is constant.

    Raises:
        BadInput: fewer than three points.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    require(
        len(x) == len(y) >= 3, f"R^2 needs three points or more. Received: {len(x)} and {len(y)}"
    )
    i = _resampled(len(x))
    return float(_square(x, y)), *_interval(_square(x[i], y[i]))


def r_squared_difference(x, other, y):
    """How much better x explains y than another does: R^2 less R^2, by bootstrap over the points.

    Args:
        x, other, y: arrays of n >= 3 numbers.

    Returns:
        (difference, low, high, p): p is twice the smaller of the shares of the differences, of the
        points and resampled, that are not above, or not below, 0. NaN where one is constant.
    """
    x, other, y = (np.asarray(values, float) for values in (x, other, y))
    require(len(x) == len(other) == len(y) >= 3, f"R^2 needs three points. Received: {len(y)}")
    i, difference = _resampled(len(x)), float(_square(x, y) - _square(other, y))
    drawn = _square(x[i], y[i]) - _square(other[i], y[i])
    finite = drawn[np.isfinite(drawn)]
    if not len(finite) or math.isnan(difference):
        return (math.nan,) * 4
    side = min(np.sum(finite <= 0), np.sum(finite >= 0)) + 1  # the points themselves count as one
    return difference, *_interval(drawn), min(1.0, 2 * float(side) / (len(finite) + 1))


def _resampled(count):
    """Indices of the bootstrap's draws of so many points, the same each time: 2-D."""
    return np.random.default_rng(0).integers(0, count, (_RESAMPLES, count))


def _interval(drawn):
    """The percentile interval of what was drawn, (NaN, NaN) where none of it is finite."""
    finite = drawn[np.isfinite(drawn)]
    tail = (1 - _INTERVAL) / 2
    return map(float, np.quantile(finite, [tail, 1 - tail]) if len(finite) else (math.nan,) * 2)


def _square(x, y):
    """R^2 along the last axis; NaN where x or y is constant."""
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    scale = (x**2).sum(-1) * (y**2).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(scale > 0, (x * y).sum(-1) ** 2 / scale, math.nan)


def power(effect, deviation, n):
    """Probability that a paired two-sided t test of n pairs finds an effect, at level 0.05.

    Args:
        effect: the true mean difference.
        deviation: of the differences.
        n: pairs, at least 2.
    """
    freedom = n - 1
    shift = abs(effect) / deviation * math.sqrt(n)
    limit = stats.t.ppf(1 - _LEVEL / 2, freedom)
    return float(stats.nct.sf(limit, freedom, shift) + stats.nct.cdf(-limit, freedom, shift))


def seeds_needed(effect, deviation):
    """The fewest pairs with a `power` of 80 % at least; None where 1,000 do not suffice."""
    enough = (n for n in range(2, _MOST_PAIRS + 1) if power(effect, deviation, n) >= _POWER)
    return next(enough, None)
