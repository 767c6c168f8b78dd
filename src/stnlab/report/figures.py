"""A run's figures, as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from stnlab.evaluation.robustness import AXIS_LABELS, Point
from stnlab.report.panels import warp_panel
from stnlab.report.style import plain, save

_EXAMPLES_A_ROW = 8
_MAX_NAMED_CLASSES, _MAX_COUNTED_CLASSES = 60, 25  # what can be read


def draw_warps(path: Path, title: str, inputs: Tensor, views: Tensor) -> None:
    """Inputs beside what the transformer made of them (SEED figures 1a, 2a, 3a, 4a, 6 and 8).

    Args:
        path: the PNG to write.
        title: says which distortion the inputs had.
        inputs: (N, C, H, W), in [0, 1].
        views: (N, V, C', h, w), in [0, 1].
    """
    panel = warp_panel(inputs, views, _EXAMPLES_A_ROW).numpy()
    width = 8.0
    figure = Figure(
        figsize=(width, width * panel.shape[0] / panel.shape[1] + 0.6), layout="constrained"
    )
    figure.suptitle(plain(title), fontsize=10)
    axes = figure.subplots()
    axes.imshow(panel, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    _save(figure, path)


def draw_robustness(path: Path, title: str, points: Sequence[Point]) -> None:
    """Accuracy against the amount of each distortion (SEED figures 1b to 4b)."""
    factors = list(dict.fromkeys(point.factor for point in points))
    figure = Figure(figsize=(10 * len(factors) / 3, 3.2), layout="constrained")
    figure.suptitle(plain(title), fontsize=10)
    panels = figure.subplots(1, len(factors), sharey=True, squeeze=False)[0]
    for axes, factor in zip(panels, factors, strict=True):
        curve = [point for point in points if point.factor == factor]
        axes.plot([p.amount for p in curve], [100 * p.accuracy for p in curve], marker="o")
        axes.set_xlabel(AXIS_LABELS[factor])
        axes.grid(alpha=0.3)
        if axes is panels[0]:
            axes.set_ylabel("test accuracy, %")
    save(figure, path)


def draw_confusion(
    path: Path, title: str, counts: NDArray[np.int64], classes: Sequence[str]
) -> None:
    """How many examples of each class are taken for each.

    Args:
        path: the PNG to write.
        title: above all.
        counts: (classes, classes), a row for each true class; shaded by their share of it.
        classes: their names.
    """
    number = len(classes)
    side = min(max(4.2, 1.6 + 0.42 * number), 14.0)
    figure = Figure(figsize=(side + 1.2, side + 0.4), layout="constrained")
    figure.suptitle(plain(title), fontsize=10)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, shrink=0.8, label="% of the true class")
    if number <= _MAX_NAMED_CLASSES:
        names = [plain(name if len(name) <= 16 else f"{name[:15]}…") for name in classes]
        axes.set_xticks(range(number), names, rotation=90, fontsize=8)
        axes.set_yticks(range(number), names, fontsize=8)
    if number <= _MAX_COUNTED_CLASSES:
        for row in range(number):
            for column in range(number):
                colour = "white" if shares[row, column] > 0.5 else "black"
                text = axes.text(column, row, str(counts[row, column]), ha="center", va="center")
                text.set(fontsize=8, color=colour)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    save(figure, path)


def draw_mistakes(
    path: Path, title: str, images: Sequence[NDArray[np.float32]], words: Sequence[str]
) -> None:
    """Examples that were taken for another class, with what they are and what they were taken for.

    Args:
        path: the PNG to write.
        title: above all.
        images: (H, W) or (H, W, 3) each, in [0, 1].
        words: above each.
    """
    columns = min(_EXAMPLES_A_ROW, len(images))
    rows = -(-len(images) // columns)
    height, width = images[0].shape[:2]
    figure = Figure(figsize=(8, rows * (height / width + 0.3) + 0.6), layout="constrained")
    figure.suptitle(plain(title), fontsize=10)
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, image, text in zip(figure.axes, images, words, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(plain(text), fontsize=8, pad=3)
    save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
