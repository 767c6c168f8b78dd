"""Accuracy against the amount of one distortion at a time (SEED figures 1 to 4)."""

from collections.abc import Iterable
from typing import NamedTuple

# The amounts of SEED's figures; each is drawn uniformly in +/- the amount (scale: 1 +/- amount).
# The last two are deviations of normal amounts, up to twice those of Jaderberg et al. (2015); not
# every dataset has them (stnlab.parts.ImageDataset.factors).
AMOUNTS: dict[str, tuple[float, ...]] = {
    "rotation": (0, 45, 60, 75, 90, 105, 120, 135, 180),  # degrees
    "translation": (0, 0.05, 0.1, 0.2, 0.3),  # fraction of the width
    "scale": (0, 0.1, 0.2, 0.3, 0.4, 0.5),
    "corner_sd": (0, 2.5, 5, 7.5, 10),  # pixels
    "point_sd": (0, 0.75, 1.5, 2.25, 3),  # pixels
}
# The amounts at which SEED shows originals beside transformed digits, and those of the paper.
FIGURE_AMOUNTS = {
    **{"rotation": 120, "translation": 0.2, "scale": 0.5},
    **{"corner_sd": 5, "point_sd": 1.5},
}
AXIS_LABELS = {
    "rotation": "rotation, uniform in ± degrees",
    "translation": "translation, uniform in ± share of the width",
    "scale": "scale, uniform in 1 ± amount",
    "corner_sd": "corners moved, normal, sd in pixels",
    "point_sd": "elastic, normal, sd in pixels",
}


class Point(NamedTuple):
    """A row of ``robustness.csv``; ``accuracy`` in [0, 1] over ``n`` images."""

    factor: str
    amount: float
    accuracy: float
    n: int


def settings(factors: Iterable[str]) -> list[tuple[str, float]]:
    """Every (factor, amount) of the curves over some factors."""
    return [(factor, amount) for factor in factors for amount in AMOUNTS[factor]]
