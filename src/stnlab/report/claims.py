"""The source's claims, put to the test on the seeds that both cells of a pair share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from stnlab.data.mimic.reader import patient_of
from stnlab.evaluation import clinical
from stnlab.evaluation.clinical import LEVEL, Interval
from stnlab.report import numerals
from stnlab.report.published import Published
from stnlab.report.rates import Rate, RatesTest, test_rates
from stnlab.report.results import Cell, Claim, Study, label_of, metrics_of, other_epoch
from stnlab.report.statistics import (
    CANNOT_TELL,
    Paired,
    Sample,
    binomial_noise,
    paired,
)
from stnlab.schema import OVER_PATIENTS

REPRODUCED = "reproduced"
PARTLY = "partly reproduced"
NOT_REPRODUCED = "not reproduced"
NOT_TESTED = "not tested: runs missing"


@dataclass(frozen=True)
class Point:
    """A pair's accuracies at one amount of one distortion; published ones where there are any."""

    factor: str
    amount: float
    first: float
    second: float
    difference: Paired
    published_first: float | None
    published_second: float | None
    beyond_training: bool
    # Difference of what each has lost since its own accuracy at amount 0; below 0: the first less.
    loss: Paired

    @property
    def published_difference(self) -> float | None:
        if self.published_first is None or self.published_second is None:
            return None
        return self.published_first - self.published_second


@dataclass(frozen=True)
class PairResult:
    """One pair of a claim: the first cell is said to be better than the second."""

    first: str
    second: str
    verdict: str
    difference: Paired
    without_collapsed: Paired | None  # None where no run collapsed
    published_difference: float | None
    num_planned: int  # seeds that both cells should have
    num_collapsed: int = 0  # of the runs compared
    over_patients: bool = False  # the interval is over resampled patients, not over seeds
    points: tuple[Point, ...] = ()
    other_epoch: Paired | None = None  # the same at the claim's other epoch
    rates: RatesTest | None = None  # of a claim about how often runs collapse
    published_noise: float | None = None  # what the published difference may be by chance


@dataclass(frozen=True)
class ClaimResult:
    """A claim, its verdict, and a sentence that says by how much."""

    claim: Claim
    verdict: str
    summary: str
    pairs: tuple[PairResult, ...]
    metric: str | None  # what a table calls it; None where no cell of the pairs is there
    other_metric: str | None = None  # the same score at the other of the two epochs, on series
    other_verdict: str = ""


def say_verdict(verdict: str, is_published: bool) -> str:
    """A claim's verdict in words; what nobody has published cannot be reproduced, but may hold."""
    if is_published:
        return verdict
    return verdict.replace("not reproduced", "does not hold").replace("reproduced", "holds")


def test_claims(study: Study, published: Published) -> tuple[ClaimResult, ...]:
    """Every claim of a study with its verdict."""
    rates = _rates(study)
    return tuple(
        _test_rates(claim, rates) if claim.kind == "rates" else _test(claim, study, published)
        for claim in study.claims
    )


_Rates = dict[tuple[str, str], RatesTest]


def _rates(study: Study) -> _Rates:
    """All pairs of rows that claims about collapses name, tested together."""
    named = [pair for claim in study.claims if claim.kind == "rates" for pair in claim.pairs]
    pairs = [tuple(study.cell(name) for name in pair) for pair in dict.fromkeys(named)]
    return test_rates((first, second) for first, second in pairs if first and second)


def _test_rates(claim: Claim, rates: _Rates) -> ClaimResult:
    pairs = []
    for first, second in claim.pairs:
        found = rates.get((first, second))
        verdict = NOT_TESTED if found is None else _verdict_of_rates(found)
        seeds = 0 if found is None else found.first.share.n
        pairs.append(PairResult(first, second, verdict, Paired(()), None, None, seeds, rates=found))
    said = [_say_rates(pair.rates) for pair in pairs if pair.rates is not None]
    untested = sum(pair.rates is None for pair in pairs)
    if untested and said:
        said.append(f"{untested} of {len(pairs)} pairs not tested: runs missing.")
    return ClaimResult(claim, _overall(pairs), " ".join(said), tuple(pairs), metric=None)


def _verdict_of_rates(test: RatesTest) -> str:
    if test.p_holm >= 1 - LEVEL:
        return CANNOT_TELL
    first, second = (each.share.num / each.share.n for each in (test.first, test.second))
    return REPRODUCED if first < second else NOT_REPRODUCED


def _say_rates(test: RatesTest) -> str:
    """Both rates, and whether chance makes such a difference."""
    name, reference = test.first.cell.name, test.second.cell.name
    best = "" if test.p == test.best_p else f"; {numerals.p(test.best_p)} had none collapsed"
    return (
        f"{name}: {_say_share(test.first)}, beside {_say_share(test.second)} of {reference} "
        f"(p {numerals.p(test.p)}, by Holm {numerals.p(test.p_holm)}{best})."
    )


def _say_share(rate: Rate) -> str:
    num, n, interval = rate.share
    return f"{num} of {n} collapsed ({numerals.bounds(interval)}%)"


def rates_of(result: Sequence[ClaimResult]) -> list[tuple[Rate, RatesTest | None]]:
    """The rows that claims on collapses name, each with its first test; None for a reference."""
    found: dict[str, tuple[Rate, RatesTest | None]] = {}
    tests = [pair.rates for claim in result for pair in claim.pairs if pair.rates is not None]
    for test in tests:
        for rate, own in ((test.second, None), (test.first, test)):
            if rate.cell.name not in found or found[rate.cell.name][1] is None:
                found[rate.cell.name] = rate, own
    return list(found.values())


def _test(claim: Claim, study: Study, published: Published) -> ClaimResult:
    pairs = tuple(_pair(claim, first, second, study, published) for first, second in claim.pairs)
    if claim.kind == "robustness":
        return ClaimResult(
            claim, _overall(pairs), " ".join(_say_robustness(pairs)), pairs, metric=None
        )
    cells = [found for pair in claim.pairs if (found := study.cell(pair[0]))]
    metric = _metric(claim, cells[0]) if cells else ""
    other = other_epoch(metric)
    others = [
        _verdict(pair.other_epoch, claim.margin) for pair in pairs if pair.other_epoch is not None
    ]
    return ClaimResult(
        claim,
        _overall(pairs),
        " ".join(_say_pairs(pairs, other, claim.margin)),
        pairs,
        label_of(metric, cells[0]) if cells else None,
        label_of(other, cells[0]) if other and others else None,
        _overall_of(others) if others else "",
    )


def _metric(claim: Claim, cell: Cell) -> str:
    return claim.metric or metrics_of(cell)[0].key


def _overall(pairs: Sequence[PairResult]) -> str:
    return _overall_of([pair.verdict for pair in pairs])


def _overall_of(verdicts: Sequence[str]) -> str:
    """A claim is reproduced in part only where a pair of it is, beyond chance."""
    tested = [verdict for verdict in verdicts if verdict != NOT_TESTED]
    if not tested:
        return NOT_TESTED
    if REPRODUCED in tested or PARTLY in tested:
        return REPRODUCED if set(verdicts) == {REPRODUCED} else PARTLY
    return NOT_REPRODUCED if NOT_REPRODUCED in tested else CANNOT_TELL


def _pair(
    claim: Claim, first_name: str, second_name: str, study: Study, published: Published
) -> PairResult:
    first, second = study.cell(first_name), study.cell(second_name)
    if first is None or second is None:
        return PairResult(first_name, second_name, NOT_TESTED, paired({}, {}), None, None, 0)
    metric = _metric(claim, first)
    difference = _difference(claim, first, second, metric)
    points: tuple[Point, ...] = ()
    verdict = _verdict(difference, claim.margin)
    if claim.kind == "robustness":
        points = tuple(_points(claim, first, second, published))
        verdict = _points_verdict(points)
    collapsed = [seed for seed in _collapsed(first, second) if seed in difference.seeds]
    without = None
    if claim.kind != "patients" and collapsed:
        without = paired(
            first.values(metric, with_collapsed=False), second.values(metric, with_collapsed=False)
        )
    other = other_epoch(metric) if claim.kind != "robustness" else None
    return PairResult(
        first_name,
        second_name,
        verdict,
        difference,
        without,
        _published_difference(first, second, metric, published),
        len({run.seed for run in first.runs} & {run.seed for run in second.runs}),
        len(collapsed),
        claim.kind == "patients",
        points,
        _difference(claim, first, second, other) if other else None,
        published_noise=_published_noise(first, second, metric, published),
    )


def _difference(claim: Claim, first: Cell, second: Cell, metric: str) -> Paired:
    if claim.kind == "patients":
        return _over_patients(first, second, metric)
    return _over_seeds(first, second, first.values(metric), second.values(metric))


def _over_seeds(
    first: Cell, second: Cell, ours: Mapping[int, float], theirs: Mapping[int, float]
) -> Paired:
    """Of two cells' values by seed, by ranks where one of those runs collapsed."""
    shared = ours.keys() & theirs.keys()
    return paired(ours, theirs, collapsed=bool(shared & set(_collapsed(first, second))))


def _over_patients(first: Cell, second: Cell, metric: str) -> Paired:
    """Difference of the mean over shared seeds, with its bootstrap interval over test patients.

    Nothing is told where the two were not tested on the same patients, or of another metric than
    the two areas.
    """
    if not metric.endswith(OVER_PATIENTS):
        return Paired(())
    found = [
        {
            run.seed: predictions
            for run in cell.complete_runs()
            if (predictions := run.predictions(metric)) is not None
        }
        for cell in (first, second)
    ]
    seeds = tuple(sorted(found[0].keys() & found[1].keys()))
    every = [each[seed] for each in found for seed in seeds]
    if not every or any(each.stays != every[0].stays for each in every):
        return Paired(())
    ours, theirs = (np.stack([each[seed].p for seed in seeds]) for each in found)
    test = clinical.paired_bootstrap(
        every[0].y,
        ours,
        theirs,
        "auprc" if metric.endswith("auprc") else "auroc",
        patients=[patient_of(stay) for stay in every[0].stays],
    )
    return Paired(seeds, test.difference, Interval(test.low, test.high), test.p)


def _collapsed(*cells: Cell) -> list[int]:
    return [run.seed for cell in cells for run in cell.collapsed_runs()]


def _verdict(difference: Paired, margin: float = 0.0) -> str:
    """Whether the first is above the second, or with a margin not below by that much."""
    if not difference.is_tested:
        return NOT_TESTED
    if margin and difference.interval is not None:
        low, high = difference.interval
        return REPRODUCED if low > -margin else NOT_REPRODUCED if high < -margin else CANNOT_TELL
    if margin and not difference.is_above:  # ranks do not say by how much
        return CANNOT_TELL
    if not difference.is_beyond_chance:
        return CANNOT_TELL
    return REPRODUCED if difference.is_above else NOT_REPRODUCED


def _points_verdict(points: Sequence[Point]) -> str:
    verdicts = [_verdict(point.difference) for point in points]
    if not verdicts or NOT_TESTED in verdicts:
        return NOT_TESTED
    # A claim about every point fails at one; most of them is still a part of it.
    if 2 * verdicts.count(NOT_REPRODUCED) > len(verdicts):
        return NOT_REPRODUCED
    return _overall_of(verdicts)


def _points(claim: Claim, first: Cell, second: Cell, published: Published) -> Iterator[Point]:
    curves = first.robustness(), second.robustness()
    trained = training_ranges(first)
    for factor, amount in curves[0]:
        if (factor, amount) not in curves[1] or (claim.factors and factor not in claim.factors):
            continue
        values = curves[0][factor, amount], curves[1][factor, amount]
        shared = sorted(values[0].keys() & values[1].keys())
        if not shared:
            continue
        losses = [
            {
                seed: curve[factor, 0.0][seed] - curve[factor, amount][seed]
                for seed in shared
                if seed in curve.get((factor, 0.0), {})
            }
            for curve in curves
        ]
        yield Point(
            factor,
            amount,
            fmean(values[0][seed] for seed in shared),
            fmean(values[1][seed] for seed in shared),
            _over_seeds(first, second, *values),
            _published_point(published, first, factor, amount),
            _published_point(published, second, factor, amount),
            beyond_training=amount > trained.get(factor, float("inf")),
            loss=_over_seeds(first, second, *losses),
        )


def training_ranges(cell: Cell) -> Mapping[str, float]:
    """The amounts of distortion that a cell was trained with."""
    for run in cell.runs:
        distortion = run.config.get("distortion")
        if isinstance(distortion, dict):
            return {k: float(v) for k, v in distortion.items() if isinstance(v, int | float)}
    return {}


def _published_point(published: Published, cell: Cell, factor: str, amount: float) -> float | None:
    curve = published.curve(cell.dataset, cell.model, cell.init, cell.padding, factor)
    return None if curve is None else curve.accuracy.get(amount)


def _published_difference(
    first: Cell, second: Cell, metric: str, published: Published
) -> float | None:
    samples = _published_samples(first, second, metric, published)
    if samples is None:
        return None
    ours, theirs = (each.mean for each in samples)
    assert ours is not None
    assert theirs is not None
    return ours - theirs


def _published_samples(
    first: Cell, second: Cell, metric: str, published: Published
) -> tuple[Sample, Sample] | None:
    found = [
        published.of(each.dataset, each.model, each.init, each.padding, metric, each.warp)
        for each in (first, second)
    ]
    samples = [rows[0].sample for rows in found if rows and rows[0].sample.n]
    # The same row twice: they differ in a setting that the source has but one of.
    if len(samples) < 2 or found[0] == found[1]:
        return None
    return samples[0], samples[1]


def _published_noise(first: Cell, second: Cell, metric: str, published: Published) -> float | None:
    """Up to where a published difference could be the test examples' alone, at 95%.

    It is binomial, of two independent tests of as many examples as ours; two networks tested on the
    same examples differ by less. None where the published runs' own spread says more.
    """
    samples = _published_samples(first, second, metric, published)
    num = first.values(f"{metric.removesuffix('.accuracy')}.n").values()
    if samples is None or not num or any(each.sd is not None for each in samples):
        return None
    return binomial_noise([each.mean for each in samples if each.mean is not None], min(num))


def _say_pairs(
    pairs: Sequence[PairResult], other_metric: str | None, margin: float
) -> Iterator[str]:
    if margin:
        yield (
            f"It holds where the difference is not below −{numerals.percent(margin)} points, "
            "with its whole interval."
        )
    if len(pairs) == 1 and pairs[0].difference.difference is not None:
        yield _say_pair(pairs[0])
        other = pairs[0].other_epoch
        if other_metric and other is not None and other.difference is not None:
            when = "best validation" if other_metric.startswith("best.") else "last"
            yield f"At the {when} epoch: {numerals.compared(other, with_p=True)}."
        without = pairs[0].without_collapsed
        if without is not None and without.difference is not None:
            yield (
                f"Without collapsed runs: {numerals.difference(without)} over {len(without.seeds)}."
            )
    if len(pairs) > 1:
        verdicts = [pair.verdict for pair in pairs]
        above = sum(pair.difference.is_above for pair in pairs)
        below = verdicts.count(NOT_REPRODUCED)
        holds = "Holds" if margin else "Beyond chance"
        yield (
            f"{holds} in {verdicts.count(REPRODUCED)} of {len(pairs)} pairs"
            f"{f', and the other way in {below}' if below else ''}; above 0 in {above}."
        )
        means = [each for pair in pairs if (each := pair.difference.difference) is not None]
        if means:
            low, high = numerals.signed(min(means)), numerals.signed(max(means))
            yield f"Mean differences are {low} to {high} points."
        yield from _say_noise(pairs)
    yield from _say_untested(pairs)


def _say_noise(pairs: Sequence[PairResult]) -> Iterator[str]:
    """Which of the published differences the published test could tell at all."""
    noisy = [pair for pair in pairs if pair.published_noise is not None]
    if noisy:
        told = sum(
            abs(pair.published_difference or 0.0) > (pair.published_noise or 0.0) for pair in noisy
        )
        yield (
            f"Of {len(noisy)} published differences, more than chance among the test examples "
            f"would make: {told}."
        )


def _say_pair(pair: PairResult) -> str:
    difference = pair.difference
    seeds = len(difference.seeds)
    over = f"over {seeds} seeds" if seeds > 1 else "in one seed"
    if pair.over_patients:
        over = f"in the mean of {numerals.runs(seeds)} each, over the same test patients"
    beside = ""
    if pair.published_difference is not None:
        beside = f"; published {numerals.signed(pair.published_difference)}"
    needed = ""
    if difference.seeds_needed is not None:
        needed = f" {difference.seeds_needed} seeds would tell, should mean and spread stay."
    collapsed = f", {numerals.runs(pair.num_collapsed)} collapsed" if pair.num_collapsed else ""
    return f"{numerals.compared(difference, with_p=True)} points {over}{collapsed}{beside}.{needed}"


def _say_robustness(pairs: Sequence[PairResult]) -> Iterator[str]:
    for pair in pairs:
        if not pair.points:
            continue
        holds = [point for point in pair.points if point.difference.is_above]
        clear = [point for point in holds if point.difference.is_beyond_chance]
        yield (
            f"{pair.first} is above {pair.second} at {len(holds)} of {len(pair.points)} points, "
            f"at {len(clear)} of them beyond chance."
        )
        beyond = [point for point in pair.points if point.beyond_training]
        if beyond:
            less = [p for p in beyond if p.loss.difference is not None and p.loss.difference < 0]
            clearly = [point for point in less if point.loss.is_beyond_chance]
            yield (
                "Beyond the training range it loses less of its own undistorted accuracy at "
                f"{len(less)} of {len(beyond)} points, at {len(clearly)} of them beyond chance."
            )
    yield from _say_untested(pairs)


def _say_untested(pairs: Sequence[PairResult]) -> Iterator[str]:
    untested = sum(pair.verdict == NOT_TESTED for pair in pairs)
    if untested and len(pairs) > 1:
        yield f"{untested} of {len(pairs)} pairs not tested: runs missing."
    if any(len(pair.difference.seeds) < pair.num_planned for pair in pairs):
        yield "Seeds are missing."
