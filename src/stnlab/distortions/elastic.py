"""A digit on rubber."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stnlab.distortions.backends import Backend, read
from stnlab.distortions.scaled import Scaled
from stnlab.errors import UserError
from stnlab.parts import add_distortion
from stnlab.rules import require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from stnlab.data.spec import DatasetSpec
    from stnlab.schema import ExperimentConfig

_MAX_POINTS_A_SIDE = 16


@add_distortion("elastic")
@dataclass
class Elastic(Scaled):
    """Random scale, then a thin-plate spline, each of whose points is moved by a normal amount.

    The points are a regular grid on the distorted image, from edge to edge, and where each is read
    in the scaled one is moved: the spline goes from destination to source, so that it is one matrix
    product for all images. The normal distribution is the same both ways.

    Source: Jaderberg et al. (2015), appendix A.4, which does not say the direction.
    """

    point_sd: float = 0.0  # pixels, the deviation on each axis
    points: int = 4  # control points a side

    @property
    def is_none(self) -> bool:
        return super().is_none and self.point_sd == 0

    def draw(self, num_images: int, size: tuple[int, int], rng: "torch.Generator") -> "Tensor":
        """How far the control points' sources lie from them: (num_images, 2, points²), normalised.

        A spline leaves an affine map as it is, so the scale is among the displacements.
        """
        import torch

        from stnlab.geometry.thin_plate_spline import control_points

        height, width = size
        scale = self.draw_scale(num_images, rng)[:, None, None]
        deviation = 2 * self.point_sd / torch.tensor([[width], [height]])
        at_rest = control_points(self.points).T.float()
        moved = torch.randn(num_images, *at_rest.shape, generator=rng).mul_(deviation)
        return moved.add_(at_rest).div_(scale).sub_(at_rest)

    def apply(self, images: "Tensor", drawn: "Tensor") -> "Tensor":
        from stnlab.geometry.thin_plate_spline import spline_grid

        size = images.shape[2], images.shape[3]
        return read(images, spline_grid(drawn, self.points, 0.0, size, align_corners=False))

    def check(self, config: "ExperimentConfig", spec: "DatasetSpec") -> None:
        super().check(config, spec)
        most = min(spec.size) / 2
        require(
            0 <= self.point_sd <= most,
            "distortion.point_sd",
            self.point_sd,
            f"0 to {most:g} pixels, half of the image",
        )
        require(
            2 <= self.points <= _MAX_POINTS_A_SIDE,
            "distortion.points",
            self.points,
            f"2 to {_MAX_POINTS_A_SIDE} control points a side",
        )
        if self.backend is Backend.pil:
            raise UserError(
                "distortion.backend=pil does not go with an elastic distortion: PIL warps by "
                "affine and projective maps, and has no spline. Use distortion.backend=tensor."
            )
