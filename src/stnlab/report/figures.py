"""A run's figures: lines as SVG, pixels as PNG."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from numpy.typing import NDArray
from torch import Tensor

from stnlab.evaluation import recovery
from stnlab.evaluation.robustness import AXIS_LABELS, Point
from stnlab.report.panels import warp_panel
from stnlab.report.style import COLOURS, GREY, alone_below, colour, marker, plain, save

_EXAMPLES_A_ROW = 8
_MAX_NAMED_CLASSES, _MAX_COUNTED_CLASSES, _MAX_CURVES = 60, 25, 12  # what can be read
_MAX_POINTS = 1500
_BIN = 20.0  # degrees


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
    save(figure, path)


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


def draw_share_outside(path: Path, title: str, steps: Mapping[float, float]) -> None:
    """How much of what is read lies outside of the input, as training goes on.

    Args:
        path: the SVG to write.
        title: above all.
        steps: optimizer step to a share in [0, 1].
    """
    figure = Figure(figsize=(6.8, 3.2), layout="constrained")
    figure.suptitle(plain(title), fontsize=10)
    axes = figure.subplots()
    plot_share_outside(axes, steps, color=COLOURS[0], linewidth=1.2)
    axes.set_ylabel("% read outside of the input")
    save(figure, path)


def plot_share_outside(axes: Axes, steps: Mapping[float, float], **style: Any) -> None:
    """One run's curve; the first steps, in which most is decided, are wide apart."""
    axes.plot(list(steps), [100 * share for share in steps.values()], **style)
    axes.set_xscale("log")
    # As figures: powers, matplotlib's own, take a second to typeset.
    axes.xaxis.set_major_formatter(LogFormatter())
    axes.xaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
    axes.set_xlabel("optimizer step")
    axes.set_ylim(-4, 104)
    axes.grid(alpha=0.25)


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
                text.set(fontsize=8, color=colour, in_layout=False)
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
    above = 0.3 * width  # where the words stand
    figure = Figure(figsize=(8, rows * (height / width + 0.3) + 0.6))
    axes = alone_below(figure, title, fontsize=10)
    for place, (image, text) in enumerate(zip(images, words, strict=True)):
        row, column = divmod(place, columns)
        left, top = 1.1 * width * column, above + (height + above) * row
        where = (left, left + width, top + height, top)
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=where)
        axes.text(left + width / 2, top - 1, plain(text), fontsize=8, ha="center", va="bottom")
    axes.set_xlim(0, 1.1 * width * columns - 0.1 * width)
    axes.set_ylim((height + above) * rows, 0)
    save(figure, path)


def rotation_recovered(
    title: str,
    found: Mapping[str, Any],
    moved: recovery.Moved,
    class_name: Callable[[int], str],
) -> Figure:
    """The rotation that was applied to each image against the one that the warp took back.

    Args:
        title: above all.
        found: of rotations, in ``recovered`` of ``metrics.json``.
        moved: images that were turned by up to 180 degrees.
        class_name: what a class is called.
    """
    applied, taken_back = moved.of("rotation")
    figure = Figure(figsize=(10, 5), layout="constrained")
    figure.suptitle(plain(title), fontsize=10)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes in (left, right):
        axes.axvspan(*found["trained"], color=GREY, alpha=0.13, linewidth=0, label="trained on")
        axes.plot([-180, 180], [-180, 180], "--", color="black", linewidth=1, label="undone")
        axes.set_xlabel("rotation applied, degrees")
        axes.set_xticks(range(-180, 181, 60))
        axes.set_yticks(range(-180, 181, 60))
    reach = float(np.clip(1.1 * np.percentile(np.abs(taken_back), 99.5), 90, 180))
    left.set_ylim(-reach, reach)
    left.set_ylabel("rotation taken back, degrees")
    first = slice(_MAX_POINTS)
    for is_right, mark, size, shade, words in (
        (True, "o", 7, COLOURS[0], "classified right"),
        (False, "x", 14, COLOURS[1], "wrong"),
    ):
        chosen = moved.is_right[first] == is_right
        left.scatter(
            applied[first][chosen],
            taken_back[first][chosen],
            **{"s": size, "c": shade, "marker": mark, "label": words},
            alpha=0.55,
            linewidths=1 if mark == "x" else 0,
        )
    left.set_title(
        "\n".join(
            f"{where} the range of training: {_said(found[where])}"
            for where in ("within", "beyond")
            if found[where] is not None
        ),
        fontsize=9,
    )
    classes = np.unique(moved.targets)
    can_be_read = len(classes) <= _MAX_CURVES
    curves = []
    for place, each in enumerate(classes):
        inside = moved.targets == each
        bins = recovery.curve(applied[inside], taken_back[inside], _BIN)
        name = class_name(int(each))
        is_sign = len(name) == 1 and name.isascii() and name.isalnum()
        curves += right.plot(
            list(bins),
            list(bins.values()),
            color=colour(place) if can_be_read else GREY,
            marker=f"${name}$" if is_sign else marker(place),
            **{"markersize": 7, "markeredgewidth": 0.3, "linewidth": 0.8, "label": plain(name)},
        )
    right.set_title("median taken back, by class", fontsize=9)
    handles = [*left.get_legend_handles_labels()[0], *(curves if can_be_read else [])]
    figure.legend(handles=handles, loc="outside lower center", ncols=7, frameon=False, fontsize=8)
    return figure


def _said(found: Mapping[str, Any]) -> str:
    r = "–" if found["r"] is None else f"{found['r']:.2f}"
    return (
        f"r = {r}, slope {found['slope']:.2f}, spread {found['before']:.0f}° before, "
        f"{found['left']:.0f}° after"
    ).replace("-", "−")
