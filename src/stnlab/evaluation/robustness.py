"""Accuracy against the amount of one distortion at a time (SEED figures 1 to 4)."""

from typing import NamedTuple

# The amounts of SEED's figures; each is drawn uniformly in +/- the amount (scale: 1 +/- amount).
AMOUNTS: dict[str, tuple[float, ...]] = {
    "rotation": (0, 45, 60, 75, 90, 105, 120, 135, 180),  # degrees
    "translation": (0, 0.05, 0.1, 0.2, 0.3),  # fraction of the width
    "scale": (0, 0.1, 0.2, 0.3, 0.4, 0.5),
}
# The amounts at which SEED shows originals beside transformed digits.
FIGURE_AMOUNTS = {"rotation": 120, "translation": 0.2, "scale": 0.5}
AXIS_LABELS = {
    "rotation": "rotation, uniform in ± degrees",
    "translation": "translation, uniform in ± share of the width",
    "scale": "scale, uniform in 1 ± amount",
}


class Point(NamedTuple):
    """A row of ``robustness.csv``; ``accuracy`` in [0, 1] over ``n`` images."""

    factor: str
    amount: float
    accuracy: float
    n: int


def settings() -> list[tuple[str, float]]:
    """Every (factor, amount) of the curves."""
    return [(factor, amount) for factor, amounts in AMOUNTS.items() for amount in amounts]
