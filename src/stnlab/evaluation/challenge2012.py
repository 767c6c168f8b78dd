"""The two scores that the PhysioNet/Computing in Cardiology Challenge 2012 ranked its entries by.

Source: Silva, Moody, Scott, Celi and Mark, *Predicting in-hospital mortality of ICU patients: the
PhysioNet/Computing in Cardiology Challenge 2012*, and the challenge's own ``score.m`` and
``lemeshow.m`` 1.4 (physionet.org/content/challenge-2012), which these follow. ``y`` is (N,) with 1
for a death, ``p`` (N,) its predicted probability.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from stnlab.evaluation.clinical import Floats, Integers

_NUM_DECILES = 10


class Event1(NamedTuple):
    """``score`` is the smaller of the two others; all in [0, 1], higher is better."""

    score: float
    sensitivity: float
    positive_predictivity: float


def event1(y: Integers, p: Floats, threshold: float) -> Event1:
    """Event 1, where all of ``p`` at or above ``threshold`` are said to die.

    Sensitivity is the share of the deaths that are said, positive predictivity the share of what is
    said that dies; 0 where nobody is said to die, or nobody dies.
    """
    said = p >= threshold
    right = float(np.sum(y[said]))
    sensitivity = right / max(int(np.sum(y)), 1)
    positive_predictivity = right / max(int(np.sum(said)), 1)
    return Event1(min(sensitivity, positive_predictivity), sensitivity, positive_predictivity)


def event1_threshold(y: Integers, p: Floats) -> float | None:
    """The prediction that, as a threshold, gives the highest event 1: of equals the highest one.

    For patients who are not those to be scored. None where nobody died.
    """
    if not np.any(y):
        return None
    precision, recall, thresholds = precision_recall_curve(y, p, drop_intermediate=False)
    scores = np.minimum(precision, recall)[:-1]  # the last point has no threshold
    return float(thresholds[scores >= scores.max()][-1])


def event2(y: Integers, p: Floats) -> float | None:
    """Event 2: the Hosmer-Lemeshow statistic H over the range of predicted risk; lower is better.

    In the order of ``p``, ten groups of M = floor(N / 10) patients: H is the sum of
    (deaths − M·r)² / (M·r·(1 − r) + 0.001), where r is a group's mean prediction, and is divided by
    the last group's r less the first's. The N − 10·M highest predictions are left out, as there.
    None for fewer than ten patients, and where the range is 0.
    """
    size = len(p) // _NUM_DECILES
    if not size:
        return None
    order = np.argsort(p, kind="stable")[: size * _NUM_DECILES].reshape(_NUM_DECILES, size)
    risk: NDArray[np.float64] = p[order].mean(axis=1, dtype=np.float64)
    reach = float(risk[-1] - risk[0])
    if reach <= 0:
        return None
    deaths = y[order].sum(axis=1)
    h = np.sum((deaths - size * risk) ** 2 / (size * risk * (1 - risk) + 0.001))
    return float(h) / reach


def scores(y: Integers, p: Floats, threshold: float | None) -> dict[str, Any]:
    """Both for ``metrics.json``, with the threshold; event 1 is None where that is."""
    found = None if threshold is None else event1(y, p, threshold)
    return {
        "threshold": threshold,
        "event1": None if found is None else found.score,
        "sensitivity": None if found is None else found.sensitivity,
        "positive_predictivity": None if found is None else found.positive_predictivity,
        "event2": event2(y, p),
    }
