"""The differentiable sampler: images read at the points of a grid."""

import torch.nn.functional as F
from torch import Tensor

PADDING_MODES = ("zeros", "border")


def sample(images: Tensor, grid: Tensor, padding_mode: str, align_corners: bool) -> Tensor:
    """Read ``images`` at the points of ``grid`` with bilinear interpolation.

    Convention: points as in :mod:`stnlab.geometry.affine`. Outside the image lies 0 (``zeros``;
    half a pixel beyond the centre of an outermost pixel its value has faded to one half) or the
    nearest pixel of its border (``border``).

    The derivative with respect to a point jumps where the point falls exactly on a pixel centre, as
    it does all over the image at an exact identity theta. There the derivative is the one of the
    cell that the point opens, to its right and below (the weights come from ``floor``); a
    subgradient, and a good one: a step to either side meets a regular derivative.

    Args:
        images: (N, C, H, W).
        grid: (N, height, width, 2), normalised (x, y).
        padding_mode: "zeros" or "border".
        align_corners: what -1 and 1 mean in ``grid``.

    Returns:
        (N, C, height, width).

    Source: Jaderberg et al. (2015), section 3.3, equations 5 to 7.
    """
    return F.grid_sample(
        images, grid, mode="bilinear", padding_mode=padding_mode, align_corners=align_corners
    )
