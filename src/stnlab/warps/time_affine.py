"""The affine warp of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.parts import TimeWarp, add_warp

if TYPE_CHECKING:
    from torch import Tensor


@add_warp("time-affine")
@dataclass
class TimeAffineWarp(TimeWarp):
    """A tempo and a phase: the value at t is read at ``theta22 * t + theta23``.

    Convention: :mod:`stnlab.geometry.time`. Source: SEED section 5.2.2.
    """

    parameter_names = ("theta22", "theta23")
    identity = (1.0, 0.0)

    name: str = "time-affine"

    def start(self, affine: Sequence[float]) -> tuple[float, ...] | None:
        return tuple(affine[4:]) if list(affine[:4]) == [1, 0, 0, 0] else None

    def moments(
        self,
        theta: "Tensor",
        num_steps: int,
        align_corners: bool,
        lengths: "Tensor | None" = None,
    ) -> "Tensor":
        from stnlab.geometry.time import moments

        theta22, theta23 = theta.unbind(1)
        return moments(theta22, theta23, num_steps, align_corners, lengths)

    def inverse_moments(
        self,
        theta: "Tensor",
        num_steps: int,
        align_corners: bool,
        lengths: "Tensor | None" = None,
    ) -> "Tensor":
        """Infinite or not a number where theta22 is 0, and all is read at one moment."""
        from stnlab.geometry.time import inverse, moments

        return moments(*inverse(*theta.unbind(1)), num_steps, align_corners, lengths)

    def tempo(self, theta: "Tensor", num_steps: int) -> "Tensor":
        return theta[:, 0].abs()
