"""Warps of time: a series read at other moments than its own.

Convention, the second row of an image's theta (:mod:`stnlab.geometry.affine`) on its own:

* The value at output time t is read at ``theta22 * t + theta23`` of the input, both in normalised
  time from -1 to 1: destination to source. |theta22| > 1 contracts the series (all of it and more
  is shown in less time), < 1 expands a part of it, < 0 flips it; theta23 is the phase.
* -1 and 1 are the first and the last hour (``align_corners=True``) or half an hour before and
  after them (``False``).
* Between two hours the value is interpolated linearly; outside of the series lies 0 (``zeros``;
  an hour beyond its end the last value has faded to 0) or the value at its end (``border``).

This is not ``grid_sample`` on an image one pixel high: there the other axis has no extent, so that
its coordinate decides by rounding whether the only row is inside (``zeros``), and half of the
weights and gradients are of a direction that does not exist.

Source: SEED section 5.2.2.
"""

import torch
from torch import Tensor

_EPS = 1e-6


def moments(theta22: Tensor, theta23: Tensor, num_hours: int, align_corners: bool) -> Tensor:
    """(N,) and (N,) to (N, num_hours): where each output hour is read, in hours of the input.

    At the identity hour i is read at exactly i.
    """
    centre = (num_hours - 1) / 2
    half = centre if align_corners else num_hours / 2
    hours = torch.arange(num_hours, dtype=theta22.dtype, device=theta22.device) - centre
    return centre + theta22[:, None] * hours + theta23[:, None] * half


def read_at(series: Tensor, at: Tensor, padding_mode: str) -> Tensor:
    """Read ``series`` at the moments of a warp.

    The derivative with respect to a moment jumps at every hour; there it is the one of the hour
    that begins (the weights come from ``floor``), so that it does not vanish at the identity.

    Convention: module docstring.

    Args:
        series: (N, C, hours).
        at: (N, hours), in hours of the input.
        padding_mode: "zeros" or "border".

    Returns:
        (N, C, hours).
    """
    num_hours = series.shape[2]
    is_border = padding_mode == "border"
    if is_border:
        at = at.clamp(0, num_hours - 1)
    # Far outside, where a whole number of hours may not fit an integer, all is alike.
    before = at.detach().nan_to_num().clamp(-2, num_hours + 1).floor()
    weight = at - before
    first, second = before.long(), before.long() + 1
    read = []
    for hour, share in ((first, 1 - weight), (second, weight)):
        if not is_border:
            share = torch.where((hour >= 0) & (hour < num_hours), share, 0)  # noqa: PLW2901
        index = hour.clamp(0, num_hours - 1)[:, None].expand_as(series)
        read.append(series.gather(2, index) * share[:, None])
    return read[0] + read[1]


def warp_time(
    series: Tensor, theta22: Tensor, theta23: Tensor, padding_mode: str, align_corners: bool
) -> Tensor:
    """:func:`read_at` the :func:`moments` of an affine warp."""
    at = moments(theta22, theta23, series.shape[2], align_corners)
    return read_at(series, at, padding_mode)


def share_of_moments_outside(at: Tensor) -> Tensor:
    """Share of the moments (N, hours) that lie before or after the series, (N,) in [0, 1]."""
    outside = ~((at >= -_EPS) & (at <= at.shape[1] - 1 + _EPS))
    return outside.to(at.dtype).mean(dim=1)
