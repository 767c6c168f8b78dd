"""A sweep in numbers: ``summary.csv`` and ``summary.json``.

Both hold what the run folders say and nothing else: no times and no dates, so that the same runs
give the same bytes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stnlab.evaluation.clinical import Interval
from stnlab.files import csv_text
from stnlab.report.claims import ClaimResult, test_claims
from stnlab.report.published import Published, PublishedResult
from stnlab.report.rates import Rate, RatesTest, machine_of
from stnlab.report.results import APART, IN_OTHER_UNITS, Cell, Metric, Run, Study, metrics_of
from stnlab.report.statistics import Comparison, Paired, Sample, compare, describe, is_wide

_NOT_PUBLISHED = Sample(0, None, None, None)


@dataclass(frozen=True)
class Row:
    """One metric of one cell.

    ``num_failed`` counts planned seeds without a value; ``without_collapsed`` is None where no run
    collapsed. ``sample`` has no interval where runs ended in different places (see
    :mod:`stnlab.report.statistics`). ``published`` has the row compared with first, then
    others of the same cell.
    """

    study: str
    cell: Cell
    metric: Metric
    values: dict[int, float]
    sample: Sample
    num_collapsed: int
    without_collapsed: Sample | None
    num_failed: int
    published: tuple[PublishedResult, ...]
    comparison: Comparison

    @property
    def published_sample(self) -> Sample:
        """What the cell is compared with: nothing where the source does not say how many runs."""
        sample = self.published[0].sample if self.published else _NOT_PUBLISHED
        return sample if sample.n else _NOT_PUBLISHED


@dataclass(frozen=True)
class StudyResult:
    """A study with its numbers and verdicts."""

    study: Study
    rows: tuple[Row, ...]
    claims: tuple[ClaimResult, ...]

    @property
    def is_published(self) -> bool:
        """Whether anyone has published anything to compare with."""
        return any(row.published for row in self.rows)

    def rows_of(self, cell: Cell) -> list[Row]:
        return [row for row in self.rows if row.cell is cell]

    def main_rows(self) -> list[Row]:
        """A row for each cell: its main metric."""
        return [self.rows_of(cell)[0] for cell in self.study.cells]


def summarise(study: Study, published: Published) -> StudyResult:
    """Take means over seeds, and compare them with what was published."""
    rows = [
        _row(study, cell, metric, published) for cell in study.cells for metric in metrics_of(cell)
    ]
    rows += [
        _row(study, cell, metric, published)
        for cell in study.cells
        for metric in APART
        if cell.values(metric.key)
    ]
    return StudyResult(study, tuple(rows), test_claims(study, published))


def _row(study: Study, cell: Cell, metric: Metric, published: Published) -> Row:
    values = cell.values(metric.key)
    collapsed = {run.seed for run in cell.collapsed_runs()} & values.keys()
    sample = describe(list(values.values()), collapsed=bool(collapsed))
    if is_wide(sample) and metric not in IN_OTHER_UNITS:
        sample = sample._replace(interval=None)
    rest = list(cell.values(metric.key, with_collapsed=False).values())
    where = (cell.dataset, cell.model, cell.init, cell.padding)
    found = published.of(*where, metric.key, cell.warp)
    to_compare = found[0].sample if found and found[0].sample.n else _NOT_PUBLISHED
    return Row(
        study.name,
        cell,
        metric,
        values,
        sample,
        len(collapsed),
        describe(rest) if collapsed else None,
        sum(run.planned and run.seed not in values for run in cell.runs),
        tuple(found),
        compare(sample, to_compare, collapsed=bool(collapsed)),
    )


# --- summary.csv

_COLUMNS = (
    *("study", "dataset", "model", "init", "padding", "metric", "n", "mean", "std"),
    *("ci95_low", "ci95_high", "collapsed", "failed", "published_mean", "published_std", "verdict"),
    # Beyond the contract.
    *("cell", "published_n", "difference", "difference_low", "difference_high", "p"),
    *("n_without_collapsed", "mean_without_collapsed", "std_without_collapsed", "values"),
    *("method", "margin", "seeds_needed", "best_p"),
    "validation",  # the mean best validation score: what settings are to be chosen by
)


def as_csv(results: Sequence[StudyResult]) -> str:
    """A row for each metric of each cell; accuracies in [0, 1], empty where there is no number.

    That is so of the interval where runs collapsed, too. ``values`` holds ``seed:value`` of each
    run, separated by semicolons.
    """
    rows = (_csv_row(row) for result in results for row in result.rows)
    return csv_text(_COLUMNS, ([row[name] for name in _COLUMNS] for row in rows))


def _csv_row(row: Row) -> dict[str, Any]:
    low, high = row.sample.interval or (None, None)
    difference_low, difference_high = row.comparison.interval or (None, None)
    without = row.without_collapsed or Sample(0, None, None, None)
    numbers = {
        "mean": row.sample.mean,
        "std": row.sample.sd,
        "ci95_low": low,
        "ci95_high": high,
        "published_mean": row.published_sample.mean,
        "published_std": row.published_sample.sd,
        "difference": row.comparison.difference,
        "difference_low": difference_low,
        "difference_high": difference_high,
        "p": row.comparison.p,
        "margin": row.comparison.margin,
        "best_p": row.comparison.best_p,
        "validation": describe(list(row.cell.values("validation.score").values())).mean,
        "mean_without_collapsed": without.mean,
        "std_without_collapsed": without.sd,
    }
    return {
        "study": row.study,
        "dataset": row.cell.dataset,
        "model": row.cell.model,
        "init": row.cell.init,
        "padding": row.cell.padding,
        "metric": row.metric.key,
        "n": row.sample.n,
        "collapsed": row.num_collapsed,
        "failed": row.num_failed,
        "verdict": row.comparison.verdict,
        "method": row.comparison.method,
        "seeds_needed": row.comparison.seeds_needed or "",
        "cell": row.cell.name,
        "published_n": row.published_sample.n or "",
        "n_without_collapsed": without.n if row.without_collapsed else "",
        "values": ";".join(f"{seed}:{_rounded(value)}" for seed, value in row.values.items()),
        **{key: "" if value is None else _rounded(value) for key, value in numbers.items()},
    }


def _rounded(value: float) -> float:
    """Without the digits that are rounding's own."""
    return round(value, 10)


# --- summary.json


def as_json(results: Sequence[StudyResult]) -> str:
    """All that the report says in numbers, with each seed's value."""
    studies = [_study(result) for result in results]
    return json.dumps({"studies": studies}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _study(result: StudyResult) -> dict[str, Any]:
    study = result.study
    return {
        "study": study.name,
        "question": study.question,
        "source": study.source,
        "command": study.command,
        "notes": list(study.notes),
        "made_from": study.fingerprint,
        "cells": [
            {
                "cell": cell.name,
                "dataset": cell.dataset,
                "model": cell.model,
                "init": cell.init,
                "padding": cell.padding,
                "runs": [_run(run) for run in cell.runs],
                "metrics": {row.metric.key: _metric(row) for row in result.rows_of(cell)},
                "robustness": _robustness(cell),
            }
            for cell in study.cells
        ],
        "claims": [_claim(claim) for claim in result.claims],
    }


def _run(run: Run) -> dict[str, Any]:
    kernel, processor = machine_of(run)
    return {
        "seed": run.seed,
        "planned": run.planned,
        "state": run.state.value,
        "reason": run.reason,
        "collapsed": run.collapsed,
        "collapsed_reason": run.collapsed_reason if run.collapsed else None,
        "collapsed_since": run.metrics.get("collapsed_since"),
        "kernel": kernel,
        "processor": processor,
        "validation": run.metrics.get("validation"),
    }


def _metric(row: Row) -> dict[str, Any]:
    return {
        "values": {str(seed): _rounded(value) for seed, value in row.values.items()},
        **_sample(row.sample),
        "collapsed": row.num_collapsed,
        "failed": row.num_failed,
        "without_collapsed": row.without_collapsed and _sample(row.without_collapsed),
        "published": [
            {
                "mean": each.sample.mean,
                "std": each.sample.sd,
                "n": each.sample.n or None,
                "source": each.source,
                "note": each.note,
            }
            for each in row.published
        ],
        "comparison": {
            "verdict": row.comparison.verdict,
            "method": row.comparison.method,
            "difference": _optional(row.comparison.difference),
            "ci95": _interval(row.comparison.interval),
            "p": _optional(row.comparison.p),
            "best_p": _optional(row.comparison.best_p),
            "margin": _optional(row.comparison.margin),
            "seeds_needed": row.comparison.seeds_needed,
        },
    }


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "n": sample.n,
        "mean": _optional(sample.mean),
        "std": _optional(sample.sd),
        "ci95": _interval(sample.interval),
    }


def _robustness(cell: Cell) -> list[dict[str, Any]]:
    return [
        {
            **{"factor": factor, "amount": amount},
            **_sample(describe(list(values.values()), collapsed=bool(cell.collapsed_runs()))),
        }
        for (factor, amount), values in cell.robustness().items()
    ]


def _claim(result: ClaimResult) -> dict[str, Any]:
    return {
        "text": result.claim.text,
        "kind": result.claim.kind,
        **({"margin": result.claim.margin} if result.claim.margin else {}),
        "metric": result.metric,
        "verdict": result.verdict,
        "other_metric": result.other_metric,
        "other_verdict": result.other_verdict,
        "summary": result.summary,
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "verdict": pair.verdict,
                **_paired(pair.difference),
                "collapsed": pair.num_collapsed,
                "without_collapsed": pair.without_collapsed and _paired(pair.without_collapsed),
                "other_epoch": pair.other_epoch and _paired(pair.other_epoch),
                "published_difference": _optional(pair.published_difference),
                "published_noise": _optional(pair.published_noise),
                "rates": pair.rates and _rates(pair.rates),
                "points": [
                    {
                        "factor": point.factor,
                        "amount": point.amount,
                        "holds": point.difference.is_above,
                        **_paired(point.difference),
                        "published_difference": _optional(point.published_difference),
                        "beyond_training_range": point.beyond_training,
                        "loss": _paired(point.loss),
                    }
                    for point in pair.points
                ],
            }
            for pair in result.pairs
        ],
    }


def _rates(test: RatesTest) -> dict[str, Any]:
    return {
        "p": _rounded(test.p),
        "p_holm": _rounded(test.p_holm),
        "best_p": _rounded(test.best_p),
        **{name: _rate(each) for name, each in (("first", test.first), ("second", test.second))},
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "collapsed": rate.share.num,
        "n": rate.share.n,
        "ci95": _interval(rate.share.interval),
        "by_score_alone": rate.num_by_score,
        "since": [{"epoch": epoch, "runs": runs} for epoch, runs in rate.since],
        "living": _sample(rate.living),
    }


def _paired(paired: Paired) -> dict[str, Any]:
    return {
        "seeds": list(paired.seeds),
        "difference": _optional(paired.difference),
        "ci95": _interval(paired.interval),
        "p": _optional(paired.p),
        "d_z": _optional(paired.d_z),
        "superiority": _optional(paired.superiority),
        "best_p": _optional(paired.best_p),
        "seeds_needed": paired.seeds_needed,
    }


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [_rounded(interval.low), _rounded(interval.high)]


def _optional(value: float | None) -> float | None:
    return None if value is None else _rounded(value)
