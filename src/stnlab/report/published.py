"""The published numbers that results stand beside: ``data/published``."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from stnlab.config import NOT_APPLICABLE
from stnlab.data.places import PUBLISHED_DIR
from stnlab.report.statistics import Sample, describe

# Where SEED gives no table, its clean accuracy is the first point of its curves; their transformer
# starts from the identity and pads with zeros.
_CLEAN = "test.clean.accuracy"
_CLEAN_POINT = ("rotation", 0.0)
_CURVE_CELLS = {"stn": ("identity", "zeros"), "cnn": (NOT_APPLICABLE, NOT_APPLICABLE)}
# Of nearest centroids after alignment; both authors chose settings on the test part.
_ALIGNED = {"DTAN (2019)": "dtan_accuracy", "difw (2022)": "difw_best_accuracy"}


# Where nothing else is said.
_WARPS = ("", "affine", "time-affine")
# As the original paper has them; its transformers start from the identity, and outside of the image
# they read 0, which is black there.
_MODELS = {"fcn": "fcn", "cnn": "cnn", "st-fcn": "stn-fcn", "st-cnn": "stn"}
_NUM_RUNS = 3


class PublishedResult(NamedTuple):
    """A published score; ``sample`` in [0, 1], its ``n`` 0 where the source does not say.

    ``warp`` is empty for a model without one, and for those of SEED, which are affine.
    """

    dataset: str
    model: str
    init: str
    padding: str
    metric: str
    sample: Sample
    source: str
    note: str
    warp: str = ""


class Curve(NamedTuple):
    """A published robustness curve: amount to accuracy in [0, 1], the mean over ``num_runs``."""

    accuracy: dict[float, float]
    num_runs: int
    note: str


class Published(NamedTuple):
    """All that was published; curves by (dataset, model, factor)."""

    results: tuple[PublishedResult, ...]
    curves: dict[tuple[str, str, str], Curve]

    def of(
        self, dataset: str, model: str, init: str, padding: str, metric: str, warp: str = ""
    ) -> list[PublishedResult]:
        """The rows of one cell: the one to compare with first, which is the one of most runs."""
        warps = _WARPS if warp in _WARPS else (warp,)
        found = [
            row
            for row in self.results
            if row[:5] == (dataset, model, init, padding, metric) and row.warp in warps
        ]
        return sorted(found, key=lambda row: -row.sample.n)

    def curve(self, dataset: str, model: str, init: str, padding: str, factor: str) -> Curve | None:
        """The curve of one cell; None where the source has none."""
        if _CURVE_CELLS.get(model) != (init, padding):
            return None
        return self.curves.get((dataset, model, factor))


NOTHING = Published((), {})


def read_published(folder: Path = PUBLISHED_DIR) -> Published:
    """Read ``results.csv``, ``robustness_curves.csv`` and ``jaderberg2015.csv``."""
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        results = tuple(_result(row) for row in csv.DictReader(file))
    with (folder / "robustness_curves.csv").open(encoding="utf-8", newline="") as file:
        points = _points(csv.DictReader(file))
    curves = {key: _curve(rows) for key, rows in points.items()}
    with (folder / "jaderberg2015.csv").open(encoding="utf-8", newline="") as file:
        originals = tuple(
            _original(row, size)
            for row in csv.DictReader(file)
            for size in ("", "-400k")
            if _is_of_digits(row)
        )
    return Published((*results, *_clean_results(points), *originals), curves)


class Entry(NamedTuple):
    """A line of the ranking of the PhysioNet/CinC Challenge 2012; ``rank`` empty for a baseline.

    ``score`` as the challenge printed it: event 1 in [0, 1], event 2 from 0 on.
    """

    set: str
    event: str
    rank: str
    name: str
    score: float


def read_challenge(folder: Path = PUBLISHED_DIR) -> list[Entry]:
    """Read ``challenge2012.csv``."""
    with (folder / "challenge2012.csv").open(encoding="utf-8", newline="") as file:
        return [
            Entry(row["set"], row["event"], row["rank"], row["entry"], float(row["score"]))
            for row in csv.DictReader(file)
        ]


def read_alignment(folder: Path = PUBLISHED_DIR) -> dict[tuple[str, str], float]:
    """Read ``dtan_difw_ncc.csv``: (source, problem) to accuracy in [0, 1]."""
    with (folder / "dtan_difw_ncc.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (source, row["problem"]): float(row[column]) / 100
        for source, column in _ALIGNED.items()
        for row in rows
    }


class _Point(NamedTuple):
    amount: float
    run: str
    accuracy: float
    note: str


_Key = tuple[str, str, str]


def _result(row: dict[str, str]) -> PublishedResult:
    sample = Sample(
        int(row["n"] or 0),
        float(row["mean"]) / 100,
        float(row["std"]) / 100 if row["std"] else None,
        None,
        tuple(float(value) / 100 for value in row["values"].split()),
    )
    where = (row["dataset"], row["model"], row["init"], row["padding"], row["metric"])
    return PublishedResult(*where, sample, row["source"], row["note"])


def _is_of_digits(row: dict[str, str]) -> bool:
    return row["dataset"] != "addition"  # results.csv has what is comparable of it


def _original(row: dict[str, str], size: str) -> PublishedResult:
    """A line of the original paper's table 1, where errors are; for networks of either size."""
    has_warp = row["warp"] != "none"
    start = ("identity", "black") if has_warp else (NOT_APPLICABLE, NOT_APPLICABLE)
    accuracy = 1 - float(row["error"]) / 100
    return PublishedResult(
        f"jaderberg-{row['dataset'].lower()}",
        f"{_MODELS[row['model']]}{size}",
        *start,
        "test.distorted.accuracy",
        Sample(_NUM_RUNS, accuracy, None, None),
        f"Jaderberg et al. (2015), table 1, {row['error']}% error",
        "networks of 400,000 parameters, 150,000 steps of 256",
        row["warp"] if has_warp else "",
    )


def _points(rows: Iterable[dict[str, str]]) -> dict[_Key, list[_Point]]:
    points = defaultdict(list)
    for row in rows:
        accuracy = int(row["correct"]) / int(row["total"])
        points[row["dataset"], row["model"], row["factor"]].append(
            _Point(float(row["amount"]), row["run"], accuracy, row["note"])
        )
    return points


def _curve(points: list[_Point]) -> Curve:
    amounts = sorted({point.amount for point in points})
    accuracy = {
        amount: fmean(point.accuracy for point in points if point.amount == amount)
        for amount in amounts
    }
    return Curve(accuracy, len({point.run for point in points}), points[0].note)


def _clean_results(points: dict[_Key, list[_Point]]) -> Iterator[PublishedResult]:
    for (dataset, model, factor), found in points.items():
        clean = [point.accuracy for point in found if (factor, point.amount) == _CLEAN_POINT]
        if clean:
            yield PublishedResult(
                dataset,
                model,
                *_CURVE_CELLS[model],
                _CLEAN,
                describe(clean),
                "SEED's curves at rotation 0",
                found[0].note,
            )
