"""In-hospital mortality: how well probabilities tell who dies, how sure that is, and their file.

``y`` is (N,) with 1 for a death, ``p`` (N,) its predicted probability in [0, 1]. Intervals are at
95%. A y, p that break this, or a y of one class where a score needs both, raise ``ValueError``:
the data's reader has refused such lists before.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from stnlab.errors import UserError
from stnlab.files import content_of, write_atomically

Integers = NDArray[np.integer]
Floats = NDArray[np.floating]
Metric = Literal["auroc", "auprc"]

LEVEL = 0.95
_HEADER = "stay,prediction,y_true"
_REMEDY = "Correct the line, or run the test again to write the file anew."
_RESAMPLES_AT_ONCE = 100  # as many as a processor's cache holds for some thousand patients
_ROUNDING = 1e-12  # differences below are none


class Interval(NamedTuple):
    """A 95% interval."""

    low: float
    high: float


class PairedBootstrap(NamedTuple):
    """First minus second, its interval and two-sided p value; see :func:`paired_bootstrap`."""

    difference: float
    low: float
    high: float
    p: float


class Bin(NamedTuple):
    """Patients of like predictions: mean prediction, share of deaths and its Wilson interval."""

    mean_prediction: float
    observed: float
    n: int
    low: float
    high: float


# --- scores


def auroc(y: Integers, p: Floats) -> float:
    """Area under the receiver operating characteristic; ties count half."""
    _check(y, p, both_classes=True)
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, p))


def auprc(y: Integers, p: Floats) -> float:
    """Average precision: the area under the steps of the precision-recall curve."""
    _check(y, p, both_classes=True)
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(y, p))


def brier(y: Integers, p: Floats) -> float:
    """Mean squared difference of prediction and outcome; 0 is perfect."""
    _check(y, p)
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(y, p, pos_label=1))


def scores(y: Integers, p: Floats) -> dict[str, float]:
    """``n``, ``positives``, ``auroc``, ``auprc`` and ``brier``."""
    return {
        "n": len(y),
        "positives": int(np.sum(y)),
        "auroc": auroc(y, p),
        "auprc": auprc(y, p),
        "brier": brier(y, p),
    }


# --- intervals


def bootstrap(
    y: Integers,
    p: Floats,
    num_resamples: int = 1000,
    seed: int = 0,
    patients: Sequence[str] | None = None,
) -> dict[Metric, Interval]:
    """Percentile intervals of ``auroc`` and ``auprc`` over resampled patients.

    A resample of one class only is drawn anew. The same data and seed give the same intervals.

    Args:
        y, p: see the module.
        num_resamples: how many.
        seed: of the draws.
        patients: (N,) whose stay each row is, so that a patient's stays are drawn together; None
            where each row is a patient of its own.
    """
    _check(y, p, both_classes=True)
    ranking = _Ranking(y, p)
    values: dict[Metric, list[NDArray[np.float64]]] = {"auroc": [], "auprc": []}
    for counts in _resamples(y, num_resamples, seed, patients):
        for metric, found in values.items():
            found.append(ranking.score(metric, counts))
    return {metric: _percentiles(np.concatenate(found)) for metric, found in values.items()}


def paired_bootstrap(
    y: Integers,
    first: ArrayLike,
    second: ArrayLike,
    metric: Metric = "auroc",
    num_resamples: int = 2000,
    seed: int = 0,
    patients: Sequence[str] | None = None,
) -> PairedBootstrap:
    """Compare two models on the same patients: mean of a metric over seeds, first minus second.

    Each resample of patients is the same for both models and all seeds. What varies is the
    patients; the seeds are taken as they are, so the interval says nothing of other seeds. The p
    value is twice the smaller of the shares of resamples with a difference <= 0 and >= 0, at most 1
    and at least 2 / (num_resamples + 1), the least that so many can tell.

    Args:
        y: (N,).
        first: (S, N) predictions, a row for each seed.
        second: (S', N) of the other model.
        metric: ``auroc`` or ``auprc``.
        num_resamples: how many.
        seed: of the draws.
        patients: as for :func:`bootstrap`.
    """
    if metric not in get_args(Metric):
        raise ValueError(f"metric is {metric!r}, not one of {', '.join(get_args(Metric))}")
    models = [_rankings(y, predictions) for predictions in (first, second)]

    def difference(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        means = [
            np.mean([each.score(metric, counts) for each in rankings], axis=0)
            for rankings in models
        ]
        found: NDArray[np.float64] = means[0] - means[1]
        return np.where(np.abs(found) < _ROUNDING, 0, found)

    values = np.concatenate(
        [difference(counts) for counts in _resamples(y, num_resamples, seed, patients)]
    )
    share = float(min(np.mean(values <= 0), np.mean(values >= 0)))
    return PairedBootstrap(
        float(difference(np.ones((len(y), 1), np.int64))[0]),
        *_percentiles(values),
        min(max(2 * share, 2 / (num_resamples + 1)), 1.0),
    )


class _Ranking:
    """One model's order of the patients, found once, to score many resamples.

    A resample is how often each patient was drawn. All sums are of whole numbers, so ties and
    repeated patients are exact.
    """

    def __init__(self, y: Integers, p: Floats) -> None:
        self._positives, self._negatives = (
            each[np.argsort(p[each])] for each in (np.flatnonzero(y == 1), np.flatnonzero(y == 0))
        )
        positive, negative = p[self._positives], p[self._negatives]
        # For each positive: the positives below its prediction, the negatives below it, and those
        # up to it.
        self._positives_below = np.searchsorted(positive, positive, side="left")
        self._below = np.searchsorted(negative, positive, side="left")
        self._up_to = np.searchsorted(negative, positive, side="right")

    def score(self, metric: Metric, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """(B,) of (N, B) counts; each column must have both classes."""
        positives, negatives = counts[self._positives], _cumulative(counts[self._negatives])
        num_positives = positives.sum(axis=0)
        if metric == "auroc":
            twice_beaten = negatives[self._below] + negatives[self._up_to]
            found = (positives * twice_beaten).sum(axis=0) / (2 * num_positives * negatives[-1])
        else:
            true = num_positives - _cumulative(positives)[self._positives_below]
            false = negatives[-1] - negatives[self._below]
            precision = true / np.maximum(true + false, 1)
            found = (positives * precision).sum(axis=0) / num_positives
        return np.asarray(found, np.float64)


def _cumulative(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N + 1, B): sums of the first 0 to N rows."""
    sums = np.zeros((len(counts) + 1, counts.shape[1]), np.int64)
    np.cumsum(counts, axis=0, out=sums[1:])
    return sums


def _rankings(y: Integers, predictions: ArrayLike) -> list[_Ranking]:
    rows = np.asarray(predictions, np.float64)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"predictions must be (seeds, N), not {rows.shape}")
    for row in rows:
        _check(y, row, both_classes=True)
    return [_Ranking(y, row) for row in rows]


def _resamples(
    y: Integers, num_resamples: int, seed: int, patients: Sequence[str] | None
) -> Iterator[NDArray[np.int64]]:
    """How often each row is drawn: (N, B) arrays of ``num_resamples`` columns in all."""
    if patients is None:
        patient_of_row = np.arange(len(y))
    else:
        patient_of_row = np.unique(np.asarray(patients), return_inverse=True)[1]
    if len(patient_of_row) != len(y):
        raise ValueError(f"{len(patient_of_row)} patients for {len(y)} rows")
    rng = np.random.default_rng(seed)
    num_patients = int(patient_of_row.max()) + 1
    missing = num_resamples
    while missing > 0:
        size = min(missing, _RESAMPLES_AT_ONCE)
        drawn = rng.integers(0, num_patients, (num_patients, size)) * size + np.arange(size)
        counts = np.bincount(drawn.ravel(), minlength=num_patients * size).reshape(-1, size)
        counts = counts[patient_of_row]
        positives = counts[y == 1].sum(axis=0)
        counts = counts[:, (positives > 0) & (positives < counts.sum(axis=0))]
        missing -= counts.shape[1]
        yield counts


def _percentiles(values: NDArray[np.float64]) -> Interval:
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def wilson(successes: int, n: int) -> Interval:
    """Wilson's interval of a proportion."""
    found = stats.binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return Interval(float(found.low), float(found.high))


# --- calibration


def reliability(y: Integers, p: Floats, num_bins: int = 10, num_seeds: int = 1) -> list[Bin]:
    """Observed against predicted mortality in bins of equal numbers, lowest predictions first.

    Equal predictions are never parted, so bins may be fewer, and of unequal numbers.

    Args:
        y, p: see the module; one class will do.
        num_bins: at most so many.
        num_seeds: of how many seeds the predictions are, laid end to end for the same patients;
            the intervals count each patient once.
    """
    _check(y, p)
    upper_ranks = -(-np.arange(1, num_bins) * len(p) // num_bins) - 1
    number = np.searchsorted(np.unique(np.sort(p)[upper_ranks]), p, side="left")
    bins = []
    for each in np.unique(number):
        inside = number == each
        n, deaths = int(inside.sum()), int(y[inside].sum())
        num_patients = max(round(n / num_seeds), 1)
        interval = wilson(min(round(deaths / num_seeds), num_patients), num_patients)
        bins.append(Bin(float(p[inside].mean(dtype=np.float64)), deaths / n, n, *interval))
    return bins


def expected_calibration_error(y: Integers, p: Floats, num_bins: int = 10) -> float:
    """Mean distance of observed from predicted mortality over the bins of :func:`reliability`,
    each weighted by its number of patients; 0 is perfect.
    """
    bins = reliability(y, p, num_bins)
    return sum(each.n * abs(each.observed - each.mean_prediction) for each in bins) / len(y)


# --- predictions.csv


def write_predictions(path: Path, stays: Sequence[str], predictions: Floats, y: Integers) -> None:
    """Write a part's predictions as mimic3-benchmarks does, in full precision.

    Args:
        path: the CSV to write.
        stays: (N,) names, each once.
        predictions: (N,) probabilities.
        y: (N,).
    """
    _check(y, predictions)
    if len(stays) != len(y):
        raise ValueError(f"{len(stays)} stays for {len(y)} predictions")
    if len(set(stays)) != len(stays):
        raise ValueError("a stay is there twice")
    unfit = next((stay for stay in stays if not stay or set(stay) & set(",\r\n")), None)
    if unfit is not None:
        raise ValueError(f"{unfit!r} cannot be a stay's name in a CSV")
    lines = [
        f"{stay},{float(prediction)!r},{int(label)}"
        for stay, prediction, label in zip(stays, predictions, y, strict=True)
    ]
    write_atomically(path, "\n".join([_HEADER, *lines, ""]))


def read_predictions(path: Path) -> tuple[list[str], NDArray[np.float64], NDArray[np.int64]]:
    """Stays, predictions (N,) and y (N,), as :func:`write_predictions` was given them.

    The file may be packed: ``predictions.csv.gz``.

    Raises:
        UserError: the file is missing or malformed.
    """
    try:
        text = content_of(path).decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text: {error.reason}. Run the test again to write it anew."
        ) from error
    except OSError as error:
        raise UserError(
            f"{error.filename or path} cannot be read: {error.strerror or error}. "
            "Run the test again to write it."
        ) from error
    lines = text.removesuffix("\n").split("\n")
    if lines[0] != _HEADER:
        raise UserError(f"{path}, line 1: the header is {lines[0]!r}, not {_HEADER!r}. {_REMEDY}")
    if len(lines) == 1:
        raise UserError(f"{path} has a header and no predictions. Run the test again to write it.")
    rows: dict[str, tuple[float, int]] = {}
    for number, line in enumerate(lines[1:], start=2):
        where = f"{path}, line {number}"
        fields = line.split(",")
        if len(fields) != 3:
            raise UserError(
                f"{where}: {line!r} has not the 3 fields {_HEADER}; the file may have been cut "
                f"off. {_REMEDY}"
            )
        stay, prediction, label = fields
        if not stay:
            raise UserError(f"{where}, column 'stay': there is no name. {_REMEDY}")
        if stay in rows:
            first = list(rows).index(stay) + 2
            raise UserError(
                f"{where}, column 'stay': {stay} is there twice, first in line {first}. Take one "
                "of the two lines out."
            )
        rows[stay] = _probability(prediction, where), _label(label, where)
    return (
        list(rows),
        np.array([prediction for prediction, _ in rows.values()], np.float64),
        np.array([label for _, label in rows.values()], np.int64),
    )


def _probability(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise UserError(
            f"{where}, column 'prediction': {text!r} is not a number. {_REMEDY}"
        ) from error
    if not 0 <= value <= 1:
        raise UserError(
            f"{where}, column 'prediction': {text} is not a probability, in [0, 1]. {_REMEDY}"
        )
    return value


def _label(text: str, where: str) -> int:
    if text not in ("0", "1"):
        raise UserError(
            f"{where}, column 'y_true': {text!r} is neither 0 (left the hospital alive) nor 1 "
            f"(died there). {_REMEDY}"
        )
    return int(text)


def _check(y: Integers, p: Floats, both_classes: bool = False) -> None:
    if y.ndim != 1 or y.shape != p.shape or not len(y):
        raise ValueError(f"y and p must be (N,) of one length, not {y.shape} and {p.shape}")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("y must be 0 or 1")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p must be probabilities, in [0, 1]")
    if both_classes and (y == y[0]).all():
        raise ValueError(f"y is {y[0]} throughout; the score needs deaths and survivors")
