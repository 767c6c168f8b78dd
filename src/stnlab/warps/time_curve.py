"""What the warps of time that bend it have in common."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.parts import TimeWarp

if TYPE_CHECKING:
    from torch import Tensor

_NUM_POINTS = 101  # at which a curve is looked at


@dataclass
class TimeCurve(TimeWarp):
    """Warps said in a series' own time, from 0 to 1: a subfamily says where a time is read.

    That is :meth:`displacement`, how far from it, :meth:`inverse_displacement`, and
    :meth:`roughness_of` thetas.
    """

    def displacement(self, theta: "Tensor", at: "Tensor") -> "Tensor":
        """How far from each time it is read: theta (N, parameters) and at (points,), or
        (N, points), to (N, points).
        """
        raise NotImplementedError(f"{type(self).__name__}.displacement")

    def inverse_displacement(self, theta: "Tensor", at: "Tensor") -> "Tensor":
        """How far from each time of the input it is shown, likewise."""
        raise NotImplementedError(f"{type(self).__name__}.inverse_displacement")

    def roughness_of(self, theta: "Tensor") -> "Tensor":
        """How rough the curves of thetas (N, parameters) are, on the mean: ()."""
        raise NotImplementedError(f"{type(self).__name__}.roughness_of")

    def moments(
        self,
        theta: "Tensor",
        num_steps: int,
        align_corners: bool,
        lengths: "Tensor | None" = None,
    ) -> "Tensor":
        from stnlab.geometry.time import moved

        displacement = self.displacement
        return moved(lambda at: displacement(theta, at), num_steps, align_corners, lengths, theta)

    def inverse_moments(
        self,
        theta: "Tensor",
        num_steps: int,
        align_corners: bool,
        lengths: "Tensor | None" = None,
    ) -> "Tensor":
        from stnlab.geometry.time import moved

        back = self.inverse_displacement
        return moved(lambda at: back(theta, at), num_steps, align_corners, lengths, theta)

    def describe(self, theta: "Tensor") -> "dict[str, Tensor]":
        """The mean shift in halves of the series, as theta23, and the lowest and highest tempo."""
        import torch

        at = torch.linspace(0, 1, _NUM_POINTS, dtype=theta.dtype, device=theta.device)
        away = self.displacement(theta, at)
        tempo = 1 + away.diff(dim=1) * (_NUM_POINTS - 1)
        return {
            "mean shift": 2 * away.mean(dim=1),
            "slowest": tempo.amin(dim=1),
            "fastest": tempo.amax(dim=1),
        }
