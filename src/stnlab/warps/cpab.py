"""The diffeomorphic warp of time by a continuous piecewise-affine velocity (CPAB)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.parts import add_warp
from stnlab.rules import require
from stnlab.warps.time_curve import TimeCurve

if TYPE_CHECKING:
    from torch import Tensor

    from stnlab.schema import ExperimentConfig

_MIN_CELLS = 2


@add_warp("cpab")
@dataclass
class CpabWarp(TimeCurve):
    """The flow of a velocity that is linear in each of some cells.

    Theta has the velocity at each knot between cells, and with ``fixed_ends: false`` at the two
    ends as well, in series a unit of the flow's time: a velocity of 0.1 throughout a long way would
    read a tenth of the series later.

    Convention: :mod:`stnlab.geometry.cpab`. Source: Freifeld et al. (2017); on series Weber et al.
    (2019), "Diffeomorphic temporal alignment nets".
    """

    name: str = "cpab"
    num_cells: int = 16
    fixed_ends: bool = True  # the first and the last step stay; else the series may be left

    @property
    def parameter_names(self) -> tuple[str, ...]:
        ends = 0 if self.fixed_ends else 1
        return tuple(f"velocity{knot}" for knot in range(1 - ends, self.num_cells + ends))

    @property
    def identity(self) -> tuple[float, ...]:
        return (0.0,) * len(self.parameter_names)

    def _velocities(self, theta: "Tensor") -> "Tensor":
        """(N, parameters) to (N, cells + 1): at all knots."""
        import torch.nn.functional as F

        return F.pad(theta, (1, 1)) if self.fixed_ends else theta

    def displacement(self, theta: "Tensor", at: "Tensor") -> "Tensor":
        from stnlab.geometry.cpab import displacement

        return displacement(self._velocities(theta), at)

    def inverse_displacement(self, theta: "Tensor", at: "Tensor") -> "Tensor":
        return self.displacement(-theta, at)

    def roughness_of(self, theta: "Tensor") -> "Tensor":
        """Mean squared slope of the velocity over the cells."""
        from stnlab.geometry.cpab import roughness

        return roughness(self._velocities(theta))

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        most = spec.size[0] - 1
        require(
            _MIN_CELLS <= self.num_cells <= most,
            "warp.num_cells",
            self.num_cells,
            f"{_MIN_CELLS} to {most}, a cell between any two steps of a series",
        )
