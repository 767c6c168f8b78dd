"""Warps of time: a series read at other moments than its own.

Convention, the second row of an image's theta (:mod:`stnlab.geometry.affine`) on its own:

* The value at output time t is read at ``theta22 * t + theta23`` of the input, both in normalised
  time from -1 to 1: destination to source. |theta22| > 1 contracts the series (all of it and more
  is shown in less time), < 1 expands a part of it, < 0 flips it; theta23 is the phase.
* -1 and 1 are the first and the last hour (``align_corners=True``) or half an hour before and
  after them (``False``).
* Between two hours the value is interpolated linearly; outside of the series lies 0 (``zeros``;
  an hour beyond its end the last value has faded to 0) or the value at its end (``border``).
* A series may be shorter than its batch is wide: ``lengths`` says how many hours each has. Its time
  is its own then, -1 and 1 its own first and last hour; what is written or read past them means
  nothing.

This is not ``grid_sample`` on an image one pixel high: there the other axis has no extent, so that
its coordinate decides by rounding whether the only row is inside (``zeros``), and half of the
weights and gradients are of a direction that does not exist.

Source: SEED section 5.2.2.
"""

from collections.abc import Callable

import torch
from torch import Tensor

_EPS = 1e-6


def moments(
    theta22: Tensor,
    theta23: Tensor,
    num_hours: int,
    align_corners: bool,
    lengths: Tensor | None = None,
) -> Tensor:
    """(N,) and (N,) to (N, num_hours): where each output hour is read, in hours of the input.

    At the identity hour i is read at exactly i. ``lengths`` (N,) are the hours that each series
    has, None where that is ``num_hours``.
    """
    num = num_hours if lengths is None else lengths[:, None].to(theta22.dtype)
    centre = (num - 1) / 2
    half = centre if align_corners else num / 2
    hours = torch.arange(num_hours, dtype=theta22.dtype, device=theta22.device) - centre
    return centre + theta22[:, None] * hours + theta23[:, None] * half


def inverse(theta22: Tensor, theta23: Tensor) -> tuple[Tensor, Tensor]:
    """theta22 and theta23 of the warp back; infinite where theta22 is 0."""
    return 1 / theta22, -theta23 / theta22


def own_time(
    num_hours: int, align_corners: bool, lengths: Tensor | None, like: Tensor
) -> tuple[Tensor, Tensor | int]:
    """Every hour as a share of its series' time, from 0 to 1, and how many hours that time has.

    0 and 1 are where -1 and 1 are in normalised time; past the end of a series lies 1.

    Returns:
        (num_hours,), or (N, num_hours) and (N, 1) with ``lengths`` (N,); in the type of ``like``.
    """
    hours = torch.arange(num_hours, dtype=like.dtype, device=like.device)
    lost, margin = (1, 0.0) if align_corners else (0, 0.5)
    if lengths is None:
        whole = max(num_hours - lost, 1)
        return (hours + margin) / whole, whole
    spans = (lengths[:, None].to(like.dtype) - lost).clamp(min=1)
    return ((hours + margin) / spans).clamp(max=1), spans


def moved(
    displacement: Callable[[Tensor], Tensor],
    num_hours: int,
    align_corners: bool,
    lengths: Tensor | None,
    like: Tensor,
) -> Tensor:
    """Moments (N, num_hours) by how far from each hour, as a share of its series' time, is read.

    ``displacement`` takes what :func:`own_time` gives to (N, num_hours). Where it is 0, hour i is
    read at exactly i.
    """
    at, whole = own_time(num_hours, align_corners, lengths, like)
    hours = torch.arange(num_hours, dtype=like.dtype, device=like.device)
    return hours + whole * displacement(at)


def read_at(series: Tensor, at: Tensor, padding_mode: str, lengths: Tensor | None = None) -> Tensor:
    """Read ``series`` at the moments of a warp.

    The derivative with respect to a moment jumps at every hour; there it is the one of the hour
    that begins (the weights come from ``floor``), so that it does not vanish at the identity.

    Convention: module docstring.

    Args:
        series: (N, C, hours).
        at: (N, hours) for all channels, or (N, C, hours); in hours of the input.
        padding_mode: "zeros" or "border".
        lengths: (N,), the hours that each series has; None: all of them.

    Returns:
        (N, C, hours).
    """
    num_hours = series.shape[2]
    if at.dim() == 2:
        at = at[:, None]
    last = num_hours - 1 if lengths is None else lengths[:, None, None] - 1
    is_border = padding_mode == "border"
    if is_border:
        at = _clamped(at, last)
    # Far outside, where a whole number of hours may not fit an integer, all is alike.
    before = at.detach().nan_to_num().clamp(-2, num_hours + 1).floor()
    weight = at - before
    first, second = before.long(), before.long() + 1
    read = []
    for hour, share in ((first, 1 - weight), (second, weight)):
        if not is_border:
            share = torch.where((hour >= 0) & (hour <= last), share, 0)  # noqa: PLW2901  # no share outside
        index = _clamped(hour, last).expand_as(series)
        read.append(series.gather(2, index) * share)
    return read[0] + read[1]


def _clamped(at: Tensor, last: Tensor | int) -> Tensor:
    return at.clamp(0, last) if isinstance(last, int) else at.clamp(min=0).clamp(max=last)


def share_of_moments_outside(at: Tensor) -> Tensor:
    """Share of the moments (N, hours) that lie before or after the series, (N,) in [0, 1]."""
    outside = ~((at >= -_EPS) & (at <= at.shape[1] - 1 + _EPS))
    return outside.to(at.dtype).mean(dim=1)


def inverted(at: Tensor) -> Tensor:
    """Where each input hour is shown, in output hours, of moments (N, hours) that never fall.

    Linear between hours. NaN where an input hour is not shown.
    """
    num_hours = at.shape[1]
    hours = torch.arange(num_hours, dtype=at.dtype, device=at.device).expand_as(at).contiguous()
    after = torch.searchsorted(at.contiguous(), hours).clamp(1, num_hours - 1)
    low, high = at.gather(1, after - 1), at.gather(1, after)
    found = after - 1 + torch.where(high > low, (hours - low) / (high - low), 0.0)
    shown = (hours >= at[:, :1]) & (hours <= at[:, -1:])
    return torch.where(shown, found, torch.nan)


def tempo_and_phase(at: Tensor) -> tuple[Tensor, Tensor]:
    """The theta22 and theta23 of the affine warp nearest to moments (N, hours), (N,) each.

    By least squares over the hours; -1 and 1 are the first and the last hour.
    """
    half = (at.shape[1] - 1) / 2
    hours = torch.arange(at.shape[1], dtype=at.dtype, device=at.device) - half
    away = at - half
    return (away * hours).sum(dim=1) / hours.square().sum(), away.mean(dim=1) / half
