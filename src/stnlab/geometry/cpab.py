"""Diffeomorphic warps of time: a point is carried by a velocity for one unit of time.

The velocity depends on the place alone. It is continuous and piecewise affine (CPA): affine in each
of some cells of equal length, so that its values at the knots between them, theta, say it all.
Where a point is after a unit of time depends on where it began: the warp. It is smooth but for
finitely many places, increases, and so can be undone; the way back is the flow of the velocity's
negative.

Convention: as :mod:`stnlab.geometry.time`, destination to source, in a series' own time from 0 to
1, which a velocity is a share of; a positive one reads later. Outside of 0 to 1 the velocity stays
what it is at the end. Where it is 0 at both ends, the flow takes the series' time to itself.

The flow has a closed form. In a cell of slope a the velocity grows as exp(a t), hence a point at x
of velocity v is at ``x + v (exp(a t) - 1) / a`` after t; it is at a place of velocity w after
``log(w / v) / a``, if v and w have the same sign. A cell is therefore crossed in a time that theta
alone decides, and as in one dimension the cells' order is known, sums of these times say in which
cell a point ends and when it came there: no step is taken, and no cell visited in turn. A cell that
is never crossed in the direction in which a point goes (the velocity has a zero in it or at its far
end) has a time above 1, for there is no more than one unit.

At the identity, where the velocity is 0 throughout, no point leaves its cell, and the derivatives
are those of the first formula with the limit of its factor at a = 0.

Source: Freifeld et al. (2017), "Transformations based on continuous piecewise-affine velocity
fields", sections 3 and 4; the closed form in one dimension, with cells visited in turn, and its
gradient: Martinez et al. (2022), "Closed-form diffeomorphic transformations for time series
alignment". The sums are ours.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stnlab.geometry.piecewise import interpolate
from stnlab.kernels.flow import flow, flow_backward, takes

_NEVER = 2.0  # any time above the one unit that there is
_LEAST_SPEED = 1e-12
_LEAST_RATIO = 1e-12  # of the speeds at two places, or one of them counts as a zero
_MOST_GROWTH = 60.0  # in a unit of time, as an exponent: more leaves every cell


def displacement(velocities: Tensor, at: Tensor) -> Tensor:
    """How far the flow carries each time; exactly 0 where the velocity is.

    Args:
        velocities: (N, cells + 1), at the knots.
        at: (points,) for all, or (N, points); in [0, 1].

    Returns:
        (N, points), to be added to ``at``.
    """
    if not takes(velocities, at):
        return _plain(velocities, at)
    result: Tensor = _Flow.apply(velocities, at)
    return result


class _Flow(torch.autograd.Function):
    """:func:`_plain` by the compiled kernel."""

    @staticmethod
    def forward(ctx: Any, velocities: Tensor, at: Tensor) -> Tensor:
        ctx.save_for_backward(velocities, at)
        return flow(velocities, at)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        velocities, at = ctx.saved_tensors
        if torch.is_grad_enabled():  # a derivative of this one is wanted, too
            again = torch.autograd.grad(_plain(velocities, at), velocities, grad, create_graph=True)
            return again[0], None
        return flow_backward(velocities, at, grad), None


def roughness(velocities: Tensor) -> Tensor:
    """Mean squared slope of the velocity, over batch and cells.

    The slope is the difference of the velocities at a cell's ends by its length. It is how fast a
    point's tempo grows, as an exponent.
    """
    num_cells = velocities.shape[1] - 1
    return (velocities.diff(dim=1) * num_cells).square().mean()


def _plain(velocities: Tensor, at: Tensor) -> Tensor:
    """:func:`displacement` by torch's operators."""
    num_cells = velocities.shape[1] - 1
    width = 1 / num_cells
    slopes = F.pad(velocities.diff(dim=1) * num_cells, (1, 1))  # none outside
    arrivals = _crossing_times(velocities, width).cumsum(dim=1)
    arrivals = F.pad(arrivals, (1, 0))  # (N, knots): when a point that crosses all cells is there

    place = at * num_cells
    cell = place.floor().clamp(0, num_cells - 1)
    velocity = interpolate(velocities, at)
    forward = (velocity > 0).to(at.dtype)
    way, exit_knot = 2 * forward - 1, cell + forward
    to_exit = (exit_knot - place) * width
    exit_velocity = _at(velocities, exit_knot)
    time_to_exit = _time(to_exit * way, velocity * way, exit_velocity * way)
    leaves = (time_to_exit < 1).to(at.dtype)

    # On the clock of ``arrivals``, which runs backward for a point that goes backward.
    ends = _at(arrivals, exit_knot) + way * (1 - time_to_exit)
    passed = _num_passed(arrivals.detach(), ends.detach()) - 1
    onward = _either(forward, passed.maximum(cell + 1), passed.minimum(cell - 1))
    last = _either(leaves, onward, cell)
    entry = (last + (1 - forward)).clamp(0, num_cells)

    start = (entry - place) * width * leaves
    speed = _either(leaves, _at(velocities, entry), velocity)
    left = _either(leaves, (ends - _at(arrivals, entry)) * way, 1.0)
    moved = start + speed * left * _growth(_at(slopes, last + 1) * left)
    # Rounding carries no point out of the cell that it ends in. A clamp would halve derivatives
    # of points at its bounds, as are those at a knot at the identity.
    low, high = (last - place) * width, (last + 1 - place) * width
    fits = ((moved >= low) & (moved <= high)) | (last < 0) | (last == num_cells)
    return _either(fits.to(at.dtype), moved, moved.detach().clamp(low, high))


def _crossing_times(velocities: Tensor, width: float) -> Tensor:
    """(N, knots) to (N, cells): how long a cell's crossing takes, either way."""
    before, after = velocities[:, :-1], velocities[:, 1:]
    way = 2 * (before > 0).to(velocities.dtype) - 1
    return _time(torch.full_like(before, width), before * way, after * way)


def _time(distance: Tensor, speed: Tensor, speed_there: Tensor) -> Tensor:
    """How long a distance takes along which the speed changes linearly; at most _NEVER.

    That is the distance by the logarithmic mean of the speeds. A speed below 0 is of the other way.
    """
    comes = (speed > _LEAST_SPEED) & (speed_there > _LEAST_SPEED)
    comes = comes & (speed_there > _LEAST_RATIO * speed) & (speed > _LEAST_RATIO * speed_there)
    reached = comes.to(speed.dtype)
    speed, speed_there = _either(reached, speed, 1.0), _either(reached, speed_there, 1.0)
    mean, faster = (speed + speed_there) / 2, speed_there - speed
    squared = (faster / (2 * mean)).square()
    alike = (squared < 0.0025).to(speed.dtype)
    by_series = (1 + squared * (1 / 3 + squared * (1 / 5 + squared / 7))) / mean
    by_logarithm = (speed_there / speed).log() / (faster + alike * (1 - faster))
    time = distance * _either(alike, by_series, by_logarithm)
    return _either(reached, time, _NEVER).clamp(max=_NEVER)


def _growth(exponent: Tensor) -> Tensor:
    """(exp(q) - 1) / q, and its limit 1 at 0."""
    exponent = exponent.clamp(max=_MOST_GROWTH)
    small = (exponent.abs() < 0.01).to(exponent.dtype)
    by_series = 1 + exponent * (1 / 2 + exponent * (1 / 6 + exponent / 24))
    safe = _either(small, 1.0, exponent)
    return _either(small, by_series, safe.expm1() / safe)


def _either(mask: Tensor, one: Tensor | float, other: Tensor | float) -> Tensor:
    """``one`` where the mask is 1, ``other`` where it is 0: torch.where takes ten times as long."""
    return mask * one + (1 - mask) * other


def _at(values: Tensor, places: Tensor) -> Tensor:
    """(N, entries) and places (N, points), whole numbers of any type, to (N, points)."""
    return values.gather(1, places.long())


def _num_passed(arrivals: Tensor, ends: Tensor) -> Tensor:
    """How many of the knots (N, knots) are on the clock when each point ends, or before it."""
    passed = torch.zeros_like(ends)
    for arrival in arrivals.unbind(1):
        passed = passed + (arrival[:, None] <= ends).to(ends.dtype)
    return passed
