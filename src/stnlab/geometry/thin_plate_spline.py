"""Thin-plate splines: the smoothest map that moves some control points where one wants them.

Points as in :mod:`stnlab.geometry.affine`. Source: Bookstein (1989), "Principal warps"; for the
regularisation Wahba (1990).
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stnlab.geometry.points import pixels, pixels_of


def control_points(points_a_side: int) -> NDArray[np.float64]:
    """A square grid of (x, y) from -1 to 1, row by row: (points, 2)."""
    steps = np.linspace(-1, 1, points_a_side)
    return np.stack(np.meshgrid(steps, steps), axis=2).reshape(-1, 2)


def spline_grid(
    displacement: Tensor,
    points_a_side: int,
    regularisation: float,
    size: tuple[int, int],
    align_corners: bool,
) -> Tensor:
    """The source point of every destination pixel under a thin-plate spline.

    The spline is linear in the displacements, so the grid is one matrix product.

    Args:
        displacement: (N, 2, points): how far from each control point of the destination its source
            lies, in normalised x and y.
        points_a_side: control points a side, of the square grid from -1 to 1.
        regularisation: 0 moves each control point exactly as said; more bends less.
        size: (height, width) of the destination, in pixels.
        align_corners: what -1 and 1 mean.

    Returns:
        (N, height, width, 2), normalised (x, y).
    """
    of_points = torch.as_tensor(
        _influence(points_a_side, regularisation, size, align_corners),
        dtype=displacement.dtype,
        device=displacement.device,
    )
    moved = displacement.reshape(-1, points_a_side**2) @ of_points
    planes = moved.view(-1, 2, of_points.shape[1]) + pixels(size, align_corners, displacement)[:2]
    return planes.view(-1, 2, *size).permute(0, 2, 3, 1)


@lru_cache(maxsize=32)
def _influence(
    points_a_side: int, regularisation: float, size: tuple[int, int], align_corners: bool
) -> NDArray[np.float64]:
    """How far a unit displacement of a control point moves each pixel, (points, height * width)."""
    controls, points = control_points(points_a_side), pixels_of(size, align_corners)
    num = len(controls)
    system = np.zeros((num + 3, num + 3))
    system[:num, :num] = _bending(controls, controls) + regularisation * np.eye(num)
    system[:num, num:] = np.column_stack([controls, np.ones(num)])
    system[num:, :num] = system[:num, num:].T
    basis = np.column_stack([_bending(points[:2].T, controls), points.T])
    coefficients = np.linalg.solve(system, np.eye(num + 3, num))  # of unit displacements
    return np.ascontiguousarray((basis @ coefficients).T)


def _bending(points: NDArray[np.float64], controls: NDArray[np.float64]) -> NDArray[np.float64]:
    """r² log r² of every pair, (points, controls); 0 at r = 0."""
    squared = np.square(points[:, None] - controls[None]).sum(axis=2)
    bending: NDArray[np.float64] = squared * np.log(np.maximum(squared, 1e-300))
    return bending
