"""What a few seeds can say: means with intervals, and comparisons with what was published.

Intervals and tests are Student's, at 95%, two-sided. Nothing is corrected for the number of
comparisons. A sample too small or without spread gives None, never a warning or a NaN.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy import stats

LEVEL = 0.95
# Values closer than this are equal: rounding, not spread.
_ROUNDING = 1e-12


class Interval(NamedTuple):
    """A 95% interval; not cut at the ends of the metric's range."""

    low: float
    high: float


class Sample(NamedTuple):
    """``sd`` has n − 1 in its denominator and needs two values, as the interval does."""

    n: int
    mean: float | None
    sd: float | None
    interval: Interval | None


class Comparison(NamedTuple):
    """Our runs against published ones; ``difference`` is ours minus published."""

    verdict: str
    method: str = ""
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None


class Paired(NamedTuple):
    """Differences, first minus second, over the seeds that both have.

    ``d_z`` is the mean difference over the standard deviation of the differences.
    """

    seeds: tuple[int, ...]
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None
    d_z: float | None = None


NO_RESULT = "no result"
NOT_PUBLISHED = "not published"
CONSISTENT = "consistent with published"
HIGHER = "higher than published"
LOWER = "lower than published"
SINGLE_RUNS = "not tested: one run each"


def describe(values: Sequence[float]) -> Sample:
    """Number, mean, standard deviation and the 95% interval of the mean."""
    n = len(values)
    if n == 0:
        return Sample(0, None, None, None)
    mean = statistics.mean(values)
    if n == 1:
        return Sample(1, mean, None, None)
    sd = 0.0 if _no_spread(values) else statistics.stdev(values)
    return Sample(n, mean, sd, _around(mean, sd / math.sqrt(n), n - 1))


def compare(ours: Sample, published: Sample) -> Comparison:
    """Say whether our runs and the published ones could be runs of the same thing.

    Welch's t-test where both have a spread. Where one side is a single run, whether it lies in the
    95% prediction interval for one more run of the other side.

    Args:
        ours: from :func:`describe`.
        published: ``n`` 0 where nothing was published, or not how many runs.
    """
    if ours.mean is None:
        return Comparison(NO_RESULT)
    if published.mean is None:
        return Comparison(NOT_PUBLISHED)
    difference = ours.mean - published.mean
    if ours.sd is not None and published.sd is not None:
        return _welch(ours, published)
    many = ours if ours.sd is not None else published
    if many.sd is None:
        return Comparison(SINGLE_RUNS, difference=difference)
    # One more run scatters by its own deviation and by that of the mean.
    interval = _around(difference, many.sd * math.sqrt(1 + 1 / many.n), many.n - 1)
    return Comparison(_verdict(difference, interval), "prediction interval", difference, interval)


def _welch(ours: Sample, published: Sample) -> Comparison:
    (our_n, our_mean, our_sd, _), (their_n, their_mean, their_sd, _) = ours, published
    assert our_mean is not None
    assert our_sd is not None
    assert their_mean is not None
    assert their_sd is not None
    difference = our_mean - their_mean
    variances = our_sd**2 / our_n, their_sd**2 / their_n
    error = math.sqrt(sum(variances))
    if error < _ROUNDING:
        interval = Interval(difference, difference)
        return Comparison(_verdict(difference, interval), "no spread", difference, interval)
    test = stats.ttest_ind_from_stats(
        our_mean, our_sd, our_n, their_mean, their_sd, their_n, equal_var=False
    )
    # Welch and Satterthwaite's degrees of freedom.
    freedom = sum(variances) ** 2 / (
        variances[0] ** 2 / (our_n - 1) + variances[1] ** 2 / (their_n - 1)
    )
    interval = _around(difference, error, freedom)
    verdict = _verdict(difference, interval)
    return Comparison(verdict, "Welch's t-test", difference, interval, float(test.pvalue))


def _verdict(difference: float, interval: Interval) -> str:
    if interval.low - _ROUNDING <= 0 <= interval.high + _ROUNDING:
        return CONSISTENT
    return HIGHER if difference > 0 else LOWER


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Paired:
    """Student's paired t-test on the seeds that both have.

    Without spread in the differences there is no p value, and the interval is a point.

    Args:
        first: seed to value.
        second: seed to value.
    """
    seeds = tuple(sorted(first.keys() & second.keys()))
    differences = [first[seed] - second[seed] for seed in seeds]
    if not seeds:
        return Paired(seeds)
    mean = statistics.mean(differences)
    if len(seeds) == 1:
        return Paired(seeds, mean)
    if _no_spread(differences):
        return Paired(seeds, mean, Interval(mean, mean))
    test = stats.ttest_rel([first[seed] for seed in seeds], [second[seed] for seed in seeds])
    interval = test.confidence_interval(LEVEL)
    return Paired(
        seeds,
        mean,
        Interval(float(interval.low), float(interval.high)),
        float(test.pvalue),
        mean / statistics.stdev(differences),
    )


def _no_spread(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= _ROUNDING


def _around(centre: float, error: float, freedom: float) -> Interval:
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Interval(centre - reach, centre + reach)
