"""Projective warps of images: points as in :mod:`stnlab.geometry.affine`."""

from torch import Tensor

from stnlab.geometry.points import kept, pixels

# Below it a point counts as on the horizon: so far outside that nothing is read.
_MIN_DEPTH = 1e-3


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
    numerators = (theta[:, :6].reshape(-1, 3) @ points).view(-1, 2, points.shape[1])
    depth = (theta[:, 6:] @ points[:2] + 1).clamp(min=_MIN_DEPTH)
    return (numerators / depth[:, None]).view(-1, 2, *size).permute(0, 2, 3, 1)
