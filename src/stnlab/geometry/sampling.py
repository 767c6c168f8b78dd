"""The differentiable sampler: images read at the points of a grid."""

import torch.nn.functional as F
from torch import Tensor

PADDING_MODES = ("zeros", "border", "black")


def sample(
    images: Tensor,
    grid: Tensor,
    padding_mode: str,
    align_corners: bool,
    padding_value: Tensor | None = None,
) -> Tensor:
    """Read ``images`` at the points of ``grid`` with bilinear interpolation.

    Convention: points as in :mod:`stnlab.geometry.affine`. Outside the image lies 0 (``zeros``;
    half a pixel beyond the centre of an outermost pixel its value has faded to one half), the
    nearest pixel of its border (``border``), or a value of one's own (``black``, to which the
    image fades as to 0 with ``zeros``). ``black`` reads what is left of the image without that
    value, and adds it again: inside, the four weights of a point add up to 1, and what is read is
    that of ``zeros`` but for rounding, a few units of the last place.

    The derivative with respect to a point jumps where the point falls exactly on a pixel centre, as
    it does all over the image at an exact identity theta. There the derivative is the one of the
    cell that the point opens, to its right and below (the weights come from ``floor``); a
    subgradient, and a good one: a step to either side meets a regular derivative.

    Args:
        images: (N, C, H, W).
        grid: (N, height, width, 2), normalised (x, y).
        padding_mode: "zeros", "border" or "black".
        align_corners: what -1 and 1 mean in ``grid``.
        padding_value: with "black", what lies outside: (C, 1, 1), or whatever broadcasts.

    Returns:
        (N, C, height, width).

    Source: Jaderberg et al. (2015), section 3.3, equations 5 to 7.
    """
    if padding_mode == "black":
        assert padding_value is not None
        above = sample(images - padding_value, grid, "zeros", align_corners)
        return above + padding_value
    return F.grid_sample(
        images, grid, mode="bilinear", padding_mode=padding_mode, align_corners=align_corners
    )
