"""Monotone warps of time: pieces of equal length, each read faster or slower, between fixed ends.

Convention: as :mod:`stnlab.geometry.time`, destination to source, in a series' own time from 0 to
1. The output's time is cut into equal pieces. What a piece reads is its *increment*, a share of the
input's time: they are positive and their sum is 1, so that the first moment is read first, the last
one last, and none before an earlier one.

Increments are the softmax of theta, which says their logarithms up to a constant; a thousandth of
the input is dealt out evenly beforehand, so that a piece is read at a thousandth of its own tempo
or more, whatever theta is, and the warp can be undone.

Source: Lohit, Wang and Turaga (2019), "Temporal Transformer Networks", section 3.2, with a softmax
in the place of their squares, whose derivative at the identity is as good.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stnlab.geometry.piecewise import interpolate, piece_of

DEALT_EVENLY = 1e-3


def displacement(log_increments: Tensor, at: Tensor) -> Tensor:
    """How far from each time it is read: exactly 0 where all increments are the same.

    Args:
        log_increments: (N, pieces).
        at: (points,) for all, or (N, points); in [0, 1].

    Returns:
        (N, points), to be added to ``at``.
    """
    return interpolate(_at_knots(log_increments), at)


def inverse_displacement(log_increments: Tensor, at: Tensor) -> Tensor:
    """How far from each time of the input it is shown: the inverse of the warp, less the time."""
    moved = _at_knots(log_increments)
    num_pieces = log_increments.shape[1]
    even = torch.arange(num_pieces + 1, dtype=at.dtype, device=at.device) / num_pieces
    knots = even + moved
    piece = piece_of(knots[:, 1:-1], at)
    low, high = knots.gather(1, piece), knots.gather(1, piece + 1)
    into = at - low
    return into * (1 / (num_pieces * (high - low)) - 1) - moved.gather(1, piece)


def roughness(log_increments: Tensor) -> Tensor:
    """Mean squared second difference of the increments' logarithms, over batch and pieces."""
    return log_increments.diff(n=2, dim=1).square().mean()


def _at_knots(log_increments: Tensor) -> Tensor:
    """(N, pieces) to (N, pieces + 1): how far from each knot it is read."""
    increments = log_increments.softmax(dim=1)
    longer = (1 - DEALT_EVENLY) * (increments - 1 / log_increments.shape[1])
    return F.pad(longer[:, :-1].cumsum(dim=1), (1, 1))
