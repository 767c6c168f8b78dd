"""Thin-plate splines: the smoothest map that moves some control points where one wants them.

Points as in :mod:`stnlab.geometry.affine`. Source: Bookstein (1989), "Principal warps"; for the
regularisation Wahba (1990).
"""

import torch
from torch import Tensor

from stnlab.geometry.points import kept, pixels


def control_points(points_a_side: int) -> Tensor:
    """A square grid of (x, y) from -1 to 1, row by row: (points, 2), in double precision."""
    return pixels((points_a_side, points_a_side), align_corners=True)[:2].T


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
    plain = points_a_side, regularisation, size, align_corners
    influence = kept(_influence, *plain, like=displacement)
    moved = displacement.reshape(-1, points_a_side**2) @ influence
    planes = moved.view(-1, 2, influence.shape[1])
    planes = planes + kept(pixels, size, align_corners, like=displacement)[:2]
    return planes.view(-1, 2, *size).permute(0, 2, 3, 1)


def _influence(
    points_a_side: int, regularisation: float, size: tuple[int, int], align_corners: bool
) -> Tensor:
    """How far a unit displacement of a control point moves each pixel, (points, height * width)."""
    controls, points = control_points(points_a_side), pixels(size, align_corners)
    num, eye = len(controls), torch.eye(points_a_side**2, dtype=torch.float64)
    affine = torch.cat([controls, torch.ones_like(controls[:, :1])], dim=1)
    bending = _bending(controls, controls) + regularisation * eye
    above = torch.cat([bending, affine], dim=1)
    below = torch.cat([affine.T, affine.new_zeros(3, 3)], dim=1)
    unit = torch.cat([eye, eye.new_zeros(3, num)])
    coefficients: Tensor = torch.linalg.solve(torch.cat([above, below]), unit)
    basis = torch.cat([_bending(points[:2].T, controls), points.T], dim=1)
    return (basis @ coefficients).T.contiguous()


def _bending(points: Tensor, controls: Tensor) -> Tensor:
    """r² log r² of every pair, (points, controls); 0 at r = 0."""
    squared = (points[:, None] - controls[None]).square().sum(dim=2)
    return squared * squared.clamp(min=1e-300).log()
