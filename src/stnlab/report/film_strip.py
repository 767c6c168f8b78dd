"""Film strips: an example as a distortion grows, or training goes on, and what is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from stnlab.report.style import COLOURS, alone_below, plain

_GAP = 0.5  # of a frame's side, around each frame: the outline may reach beyond it
_LABEL_LENGTH = 10
_LABEL = 0.35  # of a frame's side, between a frame and its view


@dataclass(frozen=True)
class Frame:
    """One step of a strip.

    ``pixels`` (H, W) or (H, W, 3) and ``view`` (h, w) or (h, w, 3) are in [0, 1]; ``outline``
    (n, 2) are the points of the sampling grid's edge, clockwise from its upper left corner, in
    normalised (x, y) of the input with -1 and 1 at its edges; its first ``num_top`` points are the
    top edge. ``label`` is the prediction, ``is_right`` whether it is the target.
    """

    pixels: NDArray[np.float32]
    view: NDArray[np.float32]
    outline: NDArray[np.float32]
    num_top: int
    label: str
    is_right: bool


def outline_of(grid: Tensor) -> NDArray[np.float32]:
    """The edge of a sampling grid (height, width, 2), closed, clockwise from its upper left."""
    around = [grid[0], grid[1:, -1], grid[-1, :-1].flip(0), grid[:-1, 0].flip(0)]
    points: NDArray[np.float32] = torch.cat(around).numpy()
    return points


def as_picture(image: Tensor) -> NDArray[np.float32]:
    """(C, H, W) in [0, 1] to (H, W, 3) of three channels, or (H, W) of their mean."""
    picture: NDArray[np.float32] = (
        image.permute(1, 2, 0) if len(image) == 3 else image.mean(dim=0)
    ).numpy()
    return picture


def film_strip(title: str, names: Sequence[str], strips: Sequence[Sequence[Frame]]) -> Figure:
    """One strip an example: inputs with the outline of what is read, views and predictions below.

    The top edge of the grid is thick, so that one sees which way up the network reads. Wrong
    predictions are in another colour, and struck by a cross.

    Args:
        title: above all.
        names: of the columns: the amounts of the distortion, or the epochs.
        strips: a row of frames for each example.
    """
    height, width = strips[0][0].pixels.shape[:2]
    across, down = round(width * (1 + _GAP)), round(height * (2 + _GAP + 2 * _LABEL))
    canvas = np.ones((len(strips) * down, len(names) * across, 3), np.float32)
    size = 0.62 * len(names), 0.62 * len(names) * canvas.shape[0] / canvas.shape[1] + 0.55
    figure = Figure(figsize=size)
    axes = alone_below(figure, title, fontsize=9)
    edges = []
    for row, strip in enumerate(strips):
        for column, frame in enumerate(strip):
            left, right = round(column * across + width * _GAP / 2), (column + 1) * across
            top = round(row * down + height * (_GAP / 2 + _LABEL))
            below = round(top + height * (1 + _GAP / 2 + _LABEL))
            for image, at in ((frame.pixels, top), (frame.view, below)):
                _paste(canvas, image, at, left, (height, width))
            points = (frame.outline + 1) / 2 * [width, height] + [left, top]
            points[:, 0] = points[:, 0].clip(column * across, right)
            points[:, 1] = points[:, 1].clip(row * down, below - height * _LABEL)
            edges += [points, points[: frame.num_top]]
            mark, colour = ("", "black") if frame.is_right else (" ✗", COLOURS[1])
            place = left + width / 2, below - height * 0.06
            label = frame.label if len(frame.label) <= _LABEL_LENGTH else frame.label[:9] + "…"
            axes.text(*place, f"{plain(label)}{mark}", fontsize=7, ha="center", color=colour)
    extent = (0, canvas.shape[1], canvas.shape[0], 0)
    axes.imshow(canvas, extent=extent, interpolation="nearest")
    thin, thick = COLOURS[5], COLOURS[4]
    axes.add_collection(LineCollection(edges, colors=[thin, thick], linewidths=[0.9, 2.0]))
    for column, name in enumerate(names):
        axes.text((column + 0.5) * across, 0, name, fontsize=7, ha="center", va="bottom")
    axes.set_ylim(canvas.shape[0], -height * 0.2)
    return figure


def _paste(
    canvas: NDArray[np.float32],
    image: NDArray[np.float32],
    top: int,
    left: int,
    size: tuple[int, int],
) -> None:
    """Put an image into a place of ``size``, each of its pixels as a block."""
    (height, width), (own_height, own_width) = size, image.shape[:2]
    rows = np.arange(height) * own_height // height
    columns = np.arange(width) * own_width // width
    pixels = image[rows][:, columns]
    canvas[top : top + height, left : left + width] = (
        pixels[..., None] if pixels.ndim == 2 else pixels
    )
