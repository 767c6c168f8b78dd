"""What a few seeds can say: means with intervals, and comparisons with what was published.

Intervals are Student's, at 95%, two-sided. Where runs collapse, seeds end in different places, and
a t interval of them means nothing: there is none, and two rows are compared by an exact rank test.
Nothing but the rates of collapses is corrected for the number of comparisons. A sample too small or
without spread gives None, never a warning or a NaN.
"""

import math
import statistics
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from stnlab.evaluation.clinical import LEVEL, Interval

# How far from the published mean a row may lie and still be consistent with it, in [0, 1]: two
# points, or the published standard deviation where that is larger. Two points are less than what
# SEED's main findings rest on (11 points in two-channel, 6 in same-image), and a deviation is what
# one run of the source differs by from the next. Smaller differences, such as RTS's 1.1 between
# models, are for the claims to test, seed by seed.
MARGIN = 0.02
# Runs that scatter by more did not all end in the same place, whatever they say of themselves: rows
# without a collapse scatter by less than 5 points here, and SEED's by less than 3 or more than 20.
WIDE = 0.10
_MOST_SEEDS = 1000  # that a report would name as enough
MOST_COUNTED = 200  # runs of both sides, of which the ways to part them are counted
# Values closer than this are equal: rounding, not spread.
_ROUNDING = 1e-12


class Sample(NamedTuple):
    """``sd`` has n − 1 in its denominator and needs two values, as the interval does.

    ``values`` are empty where only the others were published.
    """

    n: int
    mean: float | None
    sd: float | None
    interval: Interval | None
    values: tuple[float, ...] = ()


class Comparison(NamedTuple):
    """Our runs against published ones; ``difference`` is ours minus published.

    ``seeds_needed`` is of a row that cannot be told yet, None where no number would do;
    ``best_p`` the least p value that a rank test of so many runs can give.
    """

    verdict: str
    method: str = ""
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None
    margin: float | None = None
    seeds_needed: int | None = None
    best_p: float | None = None


class Paired(NamedTuple):
    """Differences, first minus second, over the seeds that both have.

    ``d_z`` is the mean difference over the standard deviation of the differences. By ranks there is
    neither that nor an interval, but ``superiority``, the share of all pairs of runs in which the
    first is above, ties counting half. ``seeds_needed`` and ``best_p`` as in :class:`Comparison`.
    """

    seeds: tuple[int, ...]
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None
    d_z: float | None = None
    superiority: float | None = None
    seeds_needed: int | None = None
    best_p: float | None = None

    @property
    def is_above(self) -> bool:
        """Whether the first is the higher one; by ranks where a mean would be a collapse's."""
        if self.superiority is not None:
            return self.superiority > 0.5
        return self.difference is not None and self.difference > 0

    @property
    def is_tested(self) -> bool:
        return self.interval is not None or self.best_p is not None

    @property
    def is_beyond_chance(self) -> bool:
        if self.interval is not None:
            return not self.interval.low <= 0 <= self.interval.high
        return self.best_p is not None and self.p is not None and self.p < 1 - LEVEL


class Share(NamedTuple):
    """``num`` of ``n``, with the 95% interval of the share behind it; None where n is 0."""

    num: int
    n: int
    interval: Interval | None


NO_RESULT = "no result"
NOT_PUBLISHED = "not published"
CONSISTENT = "consistent"
DIFFERENT = "different"
CANNOT_TELL = "cannot tell with these runs"


def describe(values: Sequence[float], collapsed: bool = False) -> Sample:
    """Number, mean, standard deviation and the 95% interval of the mean.

    Args:
        values: of each run.
        collapsed: whether a run among them collapsed: then there is no interval.
    """
    n = len(values)
    if n == 0:
        return Sample(0, None, None, None)
    mean = statistics.mean(values)
    if n == 1:
        return Sample(1, mean, None, None, tuple(values))
    sd = 0.0 if _no_spread(values) else statistics.stdev(values)
    interval = None if collapsed else _around(mean, sd / math.sqrt(n), n - 1)
    return Sample(n, mean, sd, interval, tuple(values))


def compare(ours: Sample, published: Sample, collapsed: bool = False) -> Comparison:
    """Say whether our runs and the published ones could be runs of the same thing.

    *Consistent* where the 95% interval of the difference lies within the margin (see
    :data:`MARGIN`), *different* where it leaves 0 out and is not within it, else *cannot tell*. The
    interval is Welch's where both have a spread. Where one side is a single run, or a mean without
    its deviation, it is the 95% prediction interval for so many more runs of the other side. Where
    runs collapsed, and where either side scatters by more than :data:`WIDE`, ranks decide whether
    they are different, by an exact Mann-Whitney test on the runs; they cannot show that two rows
    are alike.

    Args:
        ours: from :func:`describe`.
        published: ``n`` 0 where nothing was published, or not how many runs.
        collapsed: whether a run on either side collapsed.
    """
    if ours.mean is None:
        return Comparison(NO_RESULT)
    if published.mean is None:
        return Comparison(NOT_PUBLISHED)
    difference = ours.mean - published.mean
    if collapsed or is_wide(ours) or is_wide(published):
        return _compare_ranks(difference, ours, published)
    margin = max(MARGIN, published.sd or 0.0)
    told = _interval(ours, published)
    if told is None:
        return Comparison(CANNOT_TELL, "one run each", difference, margin=margin)
    method, interval, p = told
    verdict = _verdict(interval, margin)
    needed = None
    if verdict == CANNOT_TELL:
        needed = _seeds_needed(ours.n, lambda n: _would_tell(ours, published, n, margin))
    return Comparison(verdict, method, difference, interval, p, margin, needed)


def is_wide(sample: Sample) -> bool:
    """Whether its runs cannot all have ended in the same place."""
    return sample.sd is not None and sample.sd > WIDE


def _interval(ours: Sample, published: Sample) -> tuple[str, Interval, float | None] | None:
    """Method, interval of the difference of means, and p; None for one run on each side."""
    assert ours.mean is not None
    assert published.mean is not None
    difference = ours.mean - published.mean
    if ours.sd is not None and published.sd is not None:
        return _welch(ours, published)
    many = ours if ours.sd is not None else published
    if many.sd is None:
        return None
    # The mean of more runs scatters by its own deviation and by that of the many's mean.
    more = published.n if many is ours else ours.n
    interval = _around(difference, many.sd * math.sqrt(1 / more + 1 / many.n), many.n - 1)
    return "prediction interval", interval, None


def _welch(ours: Sample, published: Sample) -> tuple[str, Interval, float | None]:
    (our_n, our_mean, our_sd, *_), (their_n, their_mean, their_sd, *_) = ours, published
    assert our_mean is not None
    assert our_sd is not None
    assert their_mean is not None
    assert their_sd is not None
    difference = our_mean - their_mean
    variances = our_sd**2 / our_n, their_sd**2 / their_n
    error = math.sqrt(sum(variances))
    if error < _ROUNDING:
        return "no spread", Interval(difference, difference), None
    test = stats.ttest_ind_from_stats(
        our_mean, our_sd, our_n, their_mean, their_sd, their_n, equal_var=False
    )
    # Welch and Satterthwaite's degrees of freedom.
    freedom = sum(variances) ** 2 / (
        variances[0] ** 2 / (our_n - 1) + variances[1] ** 2 / (their_n - 1)
    )
    return "Welch's t-test", _around(difference, error, freedom), float(test.pvalue)


def _verdict(interval: Interval, margin: float) -> str:
    if -margin - _ROUNDING <= interval.low and interval.high <= margin + _ROUNDING:
        return CONSISTENT
    return CANNOT_TELL if interval.low <= 0 <= interval.high else DIFFERENT


def _would_tell(ours: Sample, published: Sample, n: int, margin: float) -> bool:
    """Whether ``n`` runs of ours would be told, should mean and deviation stay as they are."""
    sd = published.sd if ours.sd is None else ours.sd
    told = _interval(Sample(n, ours.mean, sd, None), published)
    return told is not None and _verdict(told[1], margin) != CANNOT_TELL


def _seeds_needed(n: int, would_tell: Callable[[int], bool]) -> int | None:
    """The least number of seeds above ``n`` that would tell, should mean and deviation stay.

    It is a statement about precision, with about an even chance to come true: the mean will move.
    None where not even a thousand would, as where it is the published runs that are too few.
    """
    numbers = range(n + 1, _MOST_SEEDS + 1)
    place = bisect_left(numbers, True, key=would_tell)
    return numbers[place] if place < len(numbers) else None


def _compare_ranks(difference: float, ours: Sample, published: Sample) -> Comparison:
    if min(ours.n, published.n) < 2:
        return Comparison(CANNOT_TELL, "one run is nothing to rank", difference)
    if not published.values:
        return Comparison(CANNOT_TELL, "only mean and deviation are published", difference)
    p, _ = _rank_test(ours.values, published.values)
    best_p = _best_p(ours.n, published.n)
    verdict = DIFFERENT if p < 1 - LEVEL else CANNOT_TELL
    is_exact = ours.n + published.n <= MOST_COUNTED
    method = "exact rank test" if is_exact else "rank test"
    return Comparison(verdict, method, difference, p=p, best_p=best_p)


def _rank_test(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Mann and Whitney's: two-sided p over all ways to part the runs, and superiority.

    How many ways give which sum of ranks, equal values sharing theirs, is counted run by run
    (Streitberg and Röhmel 1986); scipy's exact test takes no equal values. Beyond 200 runs, where
    it makes no difference, the normal distribution.
    """
    n, pairs = len(first), len(first) * len(second)
    if n + len(second) > MOST_COUNTED:
        test = stats.mannwhitneyu(first, second, method="asymptotic")
        return float(test.pvalue), float(test.statistic) / pairs
    ranks = np.rint(2 * stats.rankdata([*first, *second])).astype(int)  # twice, to be whole
    ways = np.zeros((n + 1, ranks.sum() + 1))  # by how many runs are taken, and the sum of theirs
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    found = ranks[:n].sum()
    chances = ways[n] / ways[n].sum()
    p = 2 * float(min(chances[: found + 1].sum(), chances[found:].sum()))
    return min(p, 1.0), (float(found) - n * (n + 1)) / (2 * pairs)


def _best_p(first: int, second: int) -> float:
    """The p value of :func:`_rank_test` where every run of one side is above all of the other's."""
    return min(2 / float(special.comb(first + second, first)), 1.0)


def paired(
    first: Mapping[int, float], second: Mapping[int, float], collapsed: bool = False
) -> Paired:
    """Student's paired t-test on the seeds that both have; an exact rank test if runs collapsed.

    The rank test takes the runs of those seeds as unpaired: what a seed shares between two models
    is the order of the data, and five pairs could never reach less than 0.06. Without spread in the
    differences there is no p value, and the interval is a point.

    Args:
        first: seed to value.
        second: seed to value.
        collapsed: whether one of these runs collapsed.
    """
    seeds = tuple(sorted(first.keys() & second.keys()))
    differences = [first[seed] - second[seed] for seed in seeds]
    if not seeds:
        return Paired(seeds)
    mean = statistics.mean(differences)
    if len(seeds) == 1:
        return Paired(seeds, mean)
    ours, theirs = ([each[seed] for seed in seeds] for each in (first, second))
    if collapsed:
        p, superiority = _rank_test(ours, theirs)
        best_p = _best_p(len(seeds), len(seeds))
        return Paired(seeds, mean, p=p, superiority=superiority, best_p=best_p)
    if _no_spread(differences):
        return Paired(seeds, mean, Interval(mean, mean))
    sd = statistics.stdev(differences)
    test = stats.ttest_rel(ours, theirs)
    interval = test.confidence_interval(LEVEL)
    found = Paired(
        seeds,
        mean,
        Interval(float(interval.low), float(interval.high)),
        float(test.pvalue),
        mean / sd,
    )
    if found.is_beyond_chance:
        return found
    return found._replace(
        seeds_needed=_seeds_needed(
            len(seeds), lambda n: _around(abs(mean), sd / math.sqrt(n), n - 1).low > 0
        )
    )


def share(num: int, n: int) -> Share:
    """``num`` of ``n`` with Clopper and Pearson's exact interval."""
    if n == 0:
        return Share(num, n, None)
    found = stats.binomtest(num, n).proportion_ci(LEVEL, method="exact")
    return Share(num, n, Interval(float(found.low), float(found.high)))


def binomial_noise(accuracies: Sequence[float], n: float) -> float:
    """Up to where two such accuracies on ``n`` examples each differ by chance, at 95%."""
    variance = sum(each * (1 - each) / n for each in accuracies)
    return float(stats.norm.ppf((1 + LEVEL) / 2)) * math.sqrt(variance)


def fisher(first: Share, second: Share) -> float:
    """The two-sided p of Fisher's exact test, that both have the same share behind them."""
    table = np.array([[each.num, each.n - each.num] for each in (first, second)])
    return float(stats.fisher_exact(table).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values, corrected for their number: below 0.05 is beyond chance in all at once.

    Source: Holm (1979).
    """
    corrected, least = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, (len(p_values) - place) * p_values[index])
        corrected[index] = min(least, 1.0)
    return corrected


def _no_spread(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= _ROUNDING


def _around(centre: float, error: float, freedom: float) -> Interval:
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Interval(centre - reach, centre + reach)
