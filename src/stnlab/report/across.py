"""The same rows on several datasets: one table, mean ranks, and what they can tell.

Source: Demšar (2006), Statistical comparisons of classifiers over multiple data sets: ranks by
dataset, Friedman's test, and Nemenyi's critical difference of mean ranks. Accuracies are means over
seeds; a dataset counts once, however many seeds it has.
"""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from scipy import stats

from stnlab.baselines import EUCLIDEAN, Baseline
from stnlab.errors import UserError
from stnlab.evaluation.clinical import LEVEL
from stnlab.report.published import read_alignment
from stnlab.report.results import Cell, Tested
from stnlab.report.statistics import Sample
from stnlab.report.summary import StudyResult

BASELINES_FILE = "baselines.csv"  # in a study's folder: of python -m stnlab.baselines
_MIN_DATASETS, _MIN_ROWS = 3, 3  # fewer cannot be ranked


class Ranking(NamedTuple):
    """Mean ranks by row, 1 the best; ``p`` is Friedman's.

    Two rows' mean ranks differ beyond chance where they are ``critical_difference`` or more apart
    (Nemenyi); ``apart`` has those pairs, the better one first.
    """

    ranks: dict[str, float]
    num_datasets: int
    p: float
    critical_difference: float
    apart: list[tuple[str, str]]


class Across(NamedTuple):
    """A study's rows by dataset: (row, dataset) to a sample, in [0, 1].

    ``baselines`` are deterministic, (method, dataset) to accuracy; ``published`` likewise, by
    source. ``num_test`` has how many examples each dataset is tested on, where a run says so.
    """

    datasets: list[str]
    rows: list[str]
    samples: dict[tuple[str, str], Sample]
    methods: list[str]
    baselines: dict[tuple[str, str], float]
    sources: list[str]
    published: dict[tuple[str, str], float]
    num_test: dict[str, int]
    ranking: Ranking | None


def across(result: StudyResult) -> Across | None:
    """None unless a study has several datasets, all with the same rows and one test part."""
    cells = result.study.cells
    names = [(_row(cell), cell.dataset) for cell in cells]
    rows = list(dict.fromkeys(row for row, _ in names))
    datasets = list(dict.fromkeys(dataset for _, dataset in names))
    is_whole = len(set(names)) == len(rows) * len(datasets) == len(cells)
    if len(datasets) < 2 or not is_whole or any(c.tested is not Tested.whole for c in cells):
        return None
    samples = {(_row(row.cell), row.cell.dataset): row.sample for row in result.main_rows()}
    baselines = {
        (each.method, each.problem): each.accuracy
        for each in _read_baselines(result.study.folder / BASELINES_FILE)
        if each.problem in datasets
    }
    is_alignment = any(cell.model == "alignment" for cell in cells)
    published = {
        key: value
        for key, value in (read_alignment() if is_alignment else {}).items()
        if key[1] in datasets
    }
    compared = {
        (row, dataset): sample.mean
        for (row, dataset), sample in samples.items()
        if sample.mean is not None
    }
    compared |= {key: value for key, value in baselines.items() if key[0] == EUCLIDEAN}
    return Across(
        datasets,
        rows,
        samples,
        list(dict.fromkeys(method for method, _ in baselines)),
        baselines,
        list(dict.fromkeys(source for source, _ in published)),
        published,
        {
            cell.dataset: int(number)
            for cell in cells
            for run in cell.runs
            if (number := run.value("test.n")) is not None
        },
        rank(compared, datasets),
    )


def _row(cell: Cell) -> str:
    return cell.name.removesuffix(f"-{cell.dataset}")


def rank(accuracies: dict[tuple[str, str], float], datasets: Sequence[str]) -> Ranking | None:
    """Rank the rows that have an accuracy on every dataset; None for too few rows or datasets.

    Args:
        accuracies: by (row, dataset); higher is better.
        datasets: on which is ranked.
    """
    rows = [
        row
        for row in dict.fromkeys(row for row, _ in accuracies)
        if all((row, dataset) in accuracies for dataset in datasets)
    ]
    if len(rows) < _MIN_ROWS or len(datasets) < _MIN_DATASETS:
        return None
    ranks = [
        stats.rankdata([-accuracies[row, dataset] for row in rows]).tolist() for dataset in datasets
    ]
    mean = {row: fmean(each[place] for each in ranks) for place, row in enumerate(rows)}
    if all(len(set(each)) == 1 for each in ranks):  # nothing differs anywhere
        p = 1.0
    else:
        values = [[accuracies[row, dataset] for dataset in datasets] for row in rows]
        p = float(stats.friedmanchisquare(*values).pvalue)
    critical = critical_difference(len(rows), len(datasets))
    ordered = sorted(mean, key=lambda row: mean[row])
    apart = [
        (better, worse)
        for place, better in enumerate(ordered)
        for worse in ordered[place + 1 :]
        if mean[worse] - mean[better] >= critical
    ]
    return Ranking({row: mean[row] for row in ordered}, len(datasets), p, critical, apart)


def critical_difference(num_rows: int, num_datasets: int) -> float:
    """Nemenyi's, at 95%: of mean ranks of so many rows over so many datasets."""
    quantile = float(stats.studentized_range.ppf(LEVEL, num_rows, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(num_rows * (num_rows + 1) / (6 * num_datasets))


def _read_baselines(file: Path) -> list[Baseline]:
    if not file.is_file():
        return []
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return [
                Baseline(
                    row["problem"],
                    row["method"],
                    float(row["accuracy"]),
                    int(row["n"]),
                    row["made_with"],
                    float(row["seconds"]),
                )
                for row in csv.DictReader(opened)
            ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(
            f"{file} cannot be read ({error}). python -m stnlab.baselines PROBLEM… --out {file} "
            "writes it."
        ) from error
