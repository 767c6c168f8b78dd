"""A run's figures, as PNG files."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from stnlab.evaluation.robustness import AMOUNTS, AXIS_LABELS, Point
from stnlab.report.panels import warp_panel

_EXAMPLES_A_ROW = 8


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
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots()
    axes.imshow(panel, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    _save(figure, path)


def draw_robustness(path: Path, title: str, points: Sequence[Point]) -> None:
    """Accuracy against the amount of each distortion (SEED figures 1b to 4b)."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    figure.suptitle(title, fontsize=10)
    for axes, factor in zip(figure.subplots(1, len(AMOUNTS), sharey=True), AMOUNTS, strict=True):
        curve = [point for point in points if point.factor == factor]
        axes.plot([p.amount for p in curve], [100 * p.accuracy for p in curve], marker="o")
        axes.set_xlabel(AXIS_LABELS[factor])
        axes.grid(alpha=0.3)
        if factor == "rotation":
            axes.set_ylabel("test accuracy, %")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
