"""The monotone warp of time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.parts import add_warp
from stnlab.rules import require
from stnlab.warps.time_curve import TimeCurve

if TYPE_CHECKING:
    from torch import Tensor

    from stnlab.schema import ExperimentConfig

_MIN_KNOTS = 4  # there are second differences of the pieces


@add_warp("monotone")
@dataclass
class MonotoneWarp(TimeCurve):
    """Pieces of equal length, each read faster or slower; the first and the last step stay.

    Theta has the logarithm of each piece's increment, what is read in it, up to a constant.

    Convention: :mod:`stnlab.geometry.monotone`. Source: Lohit et al. (2019).
    """

    name: str = "monotone"
    num_knots: int = 17  # ends of the pieces, the two of the series among them

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return tuple(f"log_increment{piece}" for piece in range(1, self.num_knots))

    @property
    def identity(self) -> tuple[float, ...]:
        return (0.0,) * (self.num_knots - 1)

    def displacement(self, theta: "Tensor", at: "Tensor") -> "Tensor":
        from stnlab.geometry.monotone import displacement

        return displacement(theta, at)

    def inverse_displacement(self, theta: "Tensor", at: "Tensor") -> "Tensor":
        from stnlab.geometry.monotone import inverse_displacement

        return inverse_displacement(theta, at)

    def roughness_of(self, theta: "Tensor") -> "Tensor":
        """Mean squared second difference of the log increments."""
        from stnlab.geometry.monotone import roughness

        return roughness(theta)

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        (num_steps,) = spec.size
        require(
            _MIN_KNOTS <= self.num_knots <= num_steps,
            "warp.num_knots",
            self.num_knots,
            f"{_MIN_KNOTS} to {num_steps}, a knot for each step of a series",
        )
