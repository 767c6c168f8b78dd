"""Projective warps of images: points as in :mod:`stnlab.geometry.affine`."""

from typing import Any

import torch
from torch import Tensor

from stnlab.geometry.points import kept, pixels
from stnlab.kernels.compiled import takes
from stnlab.kernels.homography import homography, homography_backward

# Below it a point counts as on the horizon: so far outside that nothing is read.
_MIN_DEPTH = 1e-3
# An image's own, (x, y), around it.
CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))


def projective_grid(theta: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """The source point of every destination pixel under a homography.

    Args:
        theta: (N, 8), rows of three of the 3x3 matrix, whose last entry is 1; destination to
            source.
        size: (height, width) of the destination, in pixels.
        align_corners: what -1 and 1 mean.

    Returns:
        (N, height, width, 2), normalised (x, y).
    """
    points = kept(pixels, size, align_corners, like=theta)
    planes = _Homography.apply(theta, points) if takes(theta, points) else _plain(theta, points)
    return planes.view(-1, 2, *size).permute(0, 2, 3, 1)


def _plain(theta: Tensor, points: Tensor) -> Tensor:
    """(N, 2, points) of points (3, points)."""
    numerators = (theta[:, :6].reshape(-1, 3) @ points).view(-1, 2, points.shape[1])
    depth = (theta[:, 6:] @ points[:2] + 1).clamp(min=_MIN_DEPTH)
    return numerators / depth[:, None]


class _Homography(torch.autograd.Function):
    """:func:`_plain` by the compiled kernel."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, points: Tensor) -> Tensor:
        ctx.save_for_backward(theta, points)
        return homography(theta, points, _MIN_DEPTH)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        theta, points = ctx.saved_tensors
        if torch.is_grad_enabled():  # a derivative of this one is wanted, too
            again = torch.autograd.grad(_plain(theta, points), theta, grad, create_graph=True)
            return again[0], None
        return homography_backward(theta, points, _MIN_DEPTH, grad), None


def has_picture(corners: Tensor) -> Tensor:
    """Whether a homography takes the image into the quadrilateral of some corners: (N,).

    It does where the corners are convex, in their order, and the horizon does not lie across or
    before the centre of the destination.

    Args:
        corners: (N, 4, 2), where :data:`CORNERS` go.
    """
    edges = corners.roll(-1, dims=1) - corners
    after = edges.roll(-1, dims=1)
    turns = edges[..., 0] * after[..., 1] - edges[..., 1] * after[..., 0]
    depth = _dst_to_src(corners)[:, 2, 2]
    return (turns > 0).all(dim=1) & (depth > _MIN_DEPTH * turns.amax(dim=1))


def theta_of_corners(corners: Tensor) -> Tensor:
    """Theta (N, 8) that shows the image within the quadrilateral of some corners.

    Convention: destination to source as in :func:`projective_grid`, the image's edges at -1 and 1.

    Args:
        corners: (N, 4, 2), where :data:`CORNERS` go, of which :func:`has_picture` holds.

    Source: Heckbert (1989), Fundamentals of Texture Mapping and Image Warping, section 2.2.3.
    """
    matrix = _dst_to_src(corners).flatten(1)
    return matrix[:, :8] / matrix[:, 8:]


def _dst_to_src(corners: Tensor) -> Tensor:
    """(N, 3, 3), up to a factor that is positive where the corners are convex."""
    first, second, third, fourth = corners.unbind(1)
    # From the unit square to the corners.
    to_second, to_fourth, bent = second - third, fourth - third, first - second + third - fourth
    area = _cross(to_second, to_fourth)
    g = (_cross(bent, to_fourth) / area)[:, None]
    h = (_cross(to_second, bent) / area)[:, None]
    x = torch.cat([second - first + g * second, g], dim=1)
    y = torch.cat([fourth - first + h * fourth, h], dim=1)
    origin = torch.cat([first, torch.ones_like(g)], dim=1)
    # Its adjugate is its inverse up to a factor; and the unit square from -1 to 1 is the image.
    across, down, depth = (
        torch.linalg.cross(one, other) for one, other in ((y, origin), (origin, x), (x, y))
    )
    return torch.stack([2 * across - depth, 2 * down - depth, depth], dim=1)


def _cross(one: Tensor, other: Tensor) -> Tensor:
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
