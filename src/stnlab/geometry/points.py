"""The pixels of an image as points, for warps that are not one product with theta.

What is kept is numpy's: no mode of torch, fake tensors or a derivative can get into it.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def pixels(size: tuple[int, int], align_corners: bool, like: Tensor) -> Tensor:
    """Every pixel of an image of (height, width), row by row, as (x, y, 1): (3, height * width).

    Args:
        size: in pixels.
        align_corners: whether -1 and 1 are the outermost pixels' centres, or their outer edges.
        like: has the dtype and the device.
    """
    return torch.as_tensor(pixels_of(size, align_corners), dtype=like.dtype, device=like.device)


@lru_cache(maxsize=32)
def pixels_of(size: tuple[int, int], align_corners: bool) -> NDArray[np.float64]:
    """:func:`pixels`, in double precision."""
    y, x = (_axis(length, align_corners) for length in size)
    columns, rows = np.meshgrid(x, y)
    return np.stack([columns.ravel(), rows.ravel(), np.ones(columns.size)])


def _axis(length: int, align_corners: bool) -> NDArray[np.float64]:
    edge = 1.0 if align_corners else 1 - 1 / length
    return np.linspace(-edge, edge, length) if length > 1 else np.zeros(1)
