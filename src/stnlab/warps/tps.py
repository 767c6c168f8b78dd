"""The thin-plate spline warp of images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.data.spec import DatasetSpec
from stnlab.parts import ImageWarp, add_warp
from stnlab.rules import require, require_not_negative

if TYPE_CHECKING:
    from torch import Tensor

    from stnlab.schema import ExperimentConfig

_MAX_POINTS_A_SIDE = 16


@add_warp("tps")
@dataclass
class ThinPlateSpline(ImageWarp):
    """A square grid of control points, each moved on its own; what lies between bends with them.

    Convention: theta has x of each control point, row by row, then y: how far from it, in
    normalised coordinates, the source of its place lies.

    Source: Jaderberg et al. (2015), section 3.2.
    """

    name: str = "tps"
    points: int = 4  # control points a side
    regularisation: float = 0.0  # 0 moves each control point exactly as said; more bends less

    @property
    def parameter_names(self) -> tuple[str, ...]:
        places = [(row, column) for row in range(self.points) for column in range(self.points)]
        return tuple(f"{axis}{row}.{column}" for axis in "xy" for row, column in places)

    @property
    def identity(self) -> tuple[float, ...]:
        return (0.0,) * (2 * self.points**2)

    def start(self, affine: Sequence[float]) -> tuple[float, ...]:
        t11, t12, t13, t21, t22, t23 = affine
        steps = [2 * place / (self.points - 1) - 1 for place in range(self.points)]
        points = [(x, y) for y in steps for x in steps]
        of_x = [t11 * x + t12 * y + t13 - x for x, y in points]
        of_y = [t21 * x + t22 * y + t23 - y for x, y in points]
        return (*of_x, *of_y)

    def grid(self, theta: "Tensor", size: tuple[int, int], align_corners: bool) -> "Tensor":
        from stnlab.geometry.thin_plate_spline import spline_grid

        displacement = theta.view(-1, 2, self.points**2)
        return spline_grid(displacement, self.points, self.regularisation, size, align_corners)

    def describe(self, theta: "Tensor") -> "dict[str, Tensor]":
        displacement = theta.view(-1, 2, self.points**2)
        mean = displacement.mean(dim=2)
        bent = (displacement - mean[:, :, None]).square().sum(dim=1).mean(dim=1).sqrt()
        return {"mean shift_x": mean[:, 0], "mean shift_y": mean[:, 1], "bending": bent}

    def check(self, config: "ExperimentConfig", spec: DatasetSpec) -> None:
        super().check(config, spec)
        require(
            2 <= self.points <= _MAX_POINTS_A_SIDE,
            "warp.points",
            self.points,
            f"2 to {_MAX_POINTS_A_SIDE} control points a side",
        )
        require_not_negative("warp.regularisation", self.regularisation)
