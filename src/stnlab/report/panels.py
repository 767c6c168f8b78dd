"""Images laid side by side: inputs above what the transformer made of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_GAP = 2  # pixels between examples
_NUM_COLOURS = 3
_TEXT_HEIGHT = 18  # pixels


def warp_panel(inputs: Tensor, views: Tensor, examples_a_row: int) -> Tensor:
    """Each example's input above its views, in rows of ``examples_a_row`` examples.

    Args:
        inputs: (N, C, H, W), in [0, 1]; three channels are colours, others lie side by side.
        views: (N, V, C', h, w), in [0, 1]; views lie side by side, and their channels likewise.

    Returns:
        (height, width), or (height, width, 3) of colours, in [0, 1], white between examples.
    """
    if inputs.shape[1] == _NUM_COLOURS and views.shape[2] == _NUM_COLOURS:
        colours = zip(inputs.unsqueeze(2).unbind(1), views.unsqueeze(3).unbind(2), strict=True)
        return torch.stack([warp_panel(*each, examples_a_row) for each in colours], dim=2)
    rows = [
        _row(*row)
        for row in zip(
            torch.split(inputs, examples_a_row), torch.split(views, examples_a_row), strict=True
        )
    ]
    width = max(row.shape[1] for row in rows)
    padded = [
        torch.nn.functional.pad(row, (0, width - row.shape[1], 0, 4 * _GAP), value=1.0)
        for row in rows
    ]
    return torch.cat(padded)[: -4 * _GAP]


def labelled_panel(
    inputs: Tensor, views: Tensor, examples_a_row: int, labels: Sequence[str], times: int
) -> NDArray[np.uint8]:
    """:func:`warp_panel`, enlarged, with a label below each example: (h, w) or (h, w, 3)."""
    rows = [
        warp_panel(*each, examples_a_row)
        for each in zip(
            torch.split(inputs, examples_a_row), torch.split(views, examples_a_row), strict=True
        )
    ]
    width = max(row.shape[1] for row in rows) * times
    height, step = rows[0].shape[0] * times, rows[0].shape[0] * times + _TEXT_HEIGHT
    column = (width + _GAP * times) / min(examples_a_row, len(inputs))
    sheet = Image.new("L" if rows[0].dim() == 2 else "RGB", (width, step * len(rows)), "white")
    for place, row in enumerate(rows):
        large = row.repeat_interleave(times, dim=0).repeat_interleave(times, dim=1)
        sheet.paste(Image.fromarray((255 * large).round().byte().numpy()), (0, place * step))
    text = ImageDraw.Draw(sheet)
    for place, label in enumerate(labels):
        down, across = divmod(place, examples_a_row)
        middle = (across + 0.5) * column - _GAP * times / 2
        text.text(
            (middle, down * step + height + 2),
            label,
            fill="black",
            anchor="ma",
            font=ImageFont.load_default(12),
        )
    return np.asarray(sheet)


def _row(inputs: Tensor, views: Tensor) -> Tensor:
    above, below = _side_by_side(inputs), _side_by_side(views.flatten(1, 2))
    width = max(above.shape[2], below.shape[2])
    between = above.new_ones((len(above), _GAP // 2, width))
    columns = torch.cat([_centred(above, width), between, _centred(below, width)], dim=1)
    gap = columns.new_ones((columns.shape[1], _GAP))
    pieces = [piece for column in columns for piece in (column, gap)]
    return torch.cat(pieces[:-1], dim=1)


def _side_by_side(images: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H, C * W)."""
    return torch.cat(images.unbind(dim=1), dim=2)


def _centred(images: Tensor, width: int) -> Tensor:
    """Pad (N, H, W) with white to ``width``."""
    missing = width - images.shape[2]
    left = missing // 2
    return torch.nn.functional.pad(images, (left, missing - left), value=1.0)


def draw_rows(path: Path, rows: Sequence[tuple[str, NDArray[np.uint8]]]) -> None:
    """Write rows of images as they are, pixel by pixel, each below its name.

    Args:
        path: the PNG to write.
        rows: a name and the grey levels (height, width) of each.
    """
    width = max(row.shape[1] for _, row in rows)
    height = sum(row.shape[0] + _TEXT_HEIGHT + 4 for _, row in rows)
    sheet = Image.new("L", (width, height), 255)
    text, top = ImageDraw.Draw(sheet), 0
    for name, row in rows:
        text.text((6, top + 2), name, fill=0, font=ImageFont.load_default(13))
        sheet.paste(Image.fromarray(row), (0, top + _TEXT_HEIGHT))
        top += row.shape[0] + _TEXT_HEIGHT + 4
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)
